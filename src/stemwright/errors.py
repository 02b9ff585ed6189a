"""Every error Stemwright raises: the docstring of the class is its message."""

from __future__ import annotations

import string


class StemwrightError(Exception):
    """Something went wrong in Stemwright."""

    def __init__(self, **fields: object) -> None:
        self.fields = fields
        super().__init__(fields)

    def __reduce__(self) -> tuple[object, ...]:
        """From one process to another; what caused it goes along as text."""
        fields = {key: str(value) if isinstance(value, Exception) else value for key, value in self.fields.items()}
        return _again, (type(self), fields)

    def __str__(self) -> str:
        template = " ".join((self.__doc__ or "").split())
        return _Formatter().format(template, **self.fields)


def _again(kind: type[StemwrightError], fields: dict[str, object]) -> StemwrightError:
    return kind(**fields)


class Misuse(StemwrightError):
    """The words of a command cannot be meant as they are: nothing was done."""


class _Formatter(string.Formatter):
    """Leaves a placeholder visible when its field was not given: a message is never lost to a KeyError."""

    def get_value(self, key: int | str, args: object, kwargs: object) -> object:  # noqa: ARG002
        fields = kwargs if isinstance(kwargs, dict) else {}
        return fields.get(key, f"<{key}>")


# ---- audio ----------------------------------------------------------------------------------------------------------


class AudioError(StemwrightError):
    """The audio could not be read or written."""


class FileMissing(AudioError):
    """There is no file {path}. Check the path."""


class NotAFile(AudioError):
    """{path} is a folder, not an audio file. Give a file, or a folder to the command `stemwright separate`."""


class CannotRead(AudioError):
    """{path} could not be read: {reason}."""


class NotAudio(AudioError):
    """{path} is not audio that can be decoded ({reason}). Give an audio or video file, such as mp3, wav, flac, m4a or
    mp4."""


class NoAudioStream(AudioError):
    """{path} has no sound in it. Give a file with an audio stream."""


class EmptyAudio(AudioError):
    """{path} has no samples: it is empty or was cut off before the first one."""


class NotFinite(AudioError):
    """{path} holds a value that is no sound (NaN, infinity or far beyond full scale) at {seconds:.3f} s. Repair the
    file: every stem would be spoiled by it."""


class TooLong(AudioError):
    """{path} is longer than the limit of {max_seconds:g} s. Cut it, or raise the limit."""


class TooLarge(AudioError):
    """{path} is larger than the limit of {max_bytes} bytes."""


class NothingToSeparate(AudioError):
    """There is no audio or video file in the folder {path}. Give another folder, or the files by name."""


class BadSamples(AudioError):
    """An array of shape {shape}, type {dtype} and rate {rate} is not a song. Give [channels, samples] as floats with
    full scale at 1.0, or as int16, int32 or uint8, and their `rate`."""


class BadRate(AudioError, Misuse):
    """There is no sound at {rate!r} samples per second. Give a rate from 1000 to 768000, such as 44100."""


class UnknownFormat(AudioError, Misuse):
    """There is no output format {format!r}. Choose one of: {choices}."""


class BadPreview(AudioError, Misuse):
    """There is no preview of {seconds!r} s. Give a number of seconds above 0, such as 30."""


class BadSound(AudioError, Misuse):
    """{format} cannot be written with {wrong}. {choices}."""


class BadTemplate(AudioError, Misuse):
    """The name template {template!r} cannot be used: {reason}. Write it like "{{title}} - {{stem}}.{{ext}}", with any
    of: {fields}."""


class BadOption(Misuse):
    """{option} {text!r} cannot be understood: {reason}."""


class BadManifest(AudioError):
    """{path}, line {line}: {reason}. Nothing was separated; correct the line."""


class NothingMatches(AudioError):
    """No file matches {path}."""


class UnknownExtra(Misuse):
    """There is no {extra!r} to make of a song. Choose from: {choices}."""


class NoPicture(AudioError):
    """{path} has no moving picture to make a karaoke video of. Give a video file, such as mp4, mkv or webm."""


class PartOfFilm(Misuse):
    """A karaoke video has the whole film, and a preview is a part of its sound. Leave out one of the two."""


class NotFourParts(StemwrightError):
    """A .stem.mp4 has drums, bass, vocals and the rest, which the model {model} cannot tell apart. Choose another one,
    such as twelve."""


class Unforeseen(StemwrightError):
    """an unexpected error: {what}; set STEMWRIGHT_TRACEBACK=1 to see where"""

    @classmethod
    def by(cls, error: Exception) -> Unforeseen:
        """What to tell of an error that is none of ours."""
        return cls(what=f"{type(error).__name__}: {error}")


class CannotWrite(AudioError):
    """{path} could not be written: {reason}. Nothing was left behind."""


class DiskFull(CannotWrite):
    """The disk is full: {path} could not be written. Free some space and run it again; nothing was left behind."""


# ---- train: sounds and songs -----------------------------------------------------------------------------------------


class SoundSourceMissing(StemwrightError):
    """The sounds of {name} are not at {path}. Install from Debian: {package}, or run `make train-system`."""


class UnknownGenre(Misuse):
    """There is no genre {genre!r}. Choose from: {choices}."""


class FolderHasSounds(StemwrightError):
    """{folder} has sounds already ({example}): a song written beside them could not be told from them. Give another
    folder; nothing was written."""


class NobodyPlays(StemwrightError):
    """Nobody plays in the first {seconds:g} s of song {seed}. Ask for more seconds or for another seed; nothing was
    written."""


class FluidSynthMissing(StemwrightError):
    """FluidSynth could not be loaded ({library}). Install the Debian package libfluidsynth3, or run `make
    train-system`."""


class SpeechMissing(StemwrightError):
    """The voice {voice} has no speech: its program or its recordings are missing. Install the Debian package {package},
    or run `make train-system`."""


class NoVoices(StemwrightError):
    """There is no voice of {split} in {folder}. Build the voice library first: `stemwright train voices`."""


class VoicesUnfinished(StemwrightError):
    """The voice library in {folder} is not whole: what builds it was stopped, or goes on. `stemwright train voices`
    completes it; with fewer voices the songs would be others."""


# ---- engine, zoo ----------------------------------------------------------------------------------------------------


class UnknownStem(Misuse):
    """There is no stem {stem!r} in the model {model}. Choose from: {choices}."""


class MisspeltStem(UnknownStem):
    """There is no stem {stem!r} in the model {model}. Is it {near}? Choose from: {choices}."""


class NothingLeft(Misuse):
    """Nothing is left for {name!r}: every stem is asked for by itself. Choose fewer stems, or no rest."""


class NothingChosen(Misuse):
    """No stem, group or mix is left to write. Choose at least one: dawproject, rpp and zip are made of them too."""


class SameNameTwice(Misuse):
    """Two outputs would be called {name!r}. Give the group, mix or rest another name."""


class BadMix(Misuse):
    """The mix {mix!r} cannot be made: {reason}. Its gains are in dB by stem or group, such as -6 for vocals, -inf for
    bass and 0 for *, which is all others."""


class UnknownModel(Misuse):
    """There is no model {model!r}. `stemwright models list` shows those that exist."""


class MisspeltModel(UnknownModel):
    """There is no model {model!r}. Is it {near}? `stemwright models list` shows those that exist."""


class NotTakenIn(UnknownModel):
    """{model} is a file, and no model yet. Take it in: stemwright models add {model}"""


class NotInstalled(UnknownModel):
    """The model {model!r} was not fetched or taken in on this machine. `stemwright models list --here` shows those that
    were, beside the bundled one."""


class NoModelsFolder(StemwrightError):
    """Models cannot be kept in {path}: {reason}. Give another folder in STEMWRIGHT_MODELS, or let this user write
    there."""


class BadCard(StemwrightError):
    """The model card {path} is not valid: {reason}."""


class BadRecipe(StemwrightError):
    """The recipe {path} is not valid: {reason}."""


class BadWeights(StemwrightError):
    """The weights {path} do not match their card: sha256 is {found}, the card says {expected}. Install them again:
    first remove the model (stemwright models remove), if it was fetched or taken in."""


class ForeignError(StemwrightError):
    """Another project's checkpoint could not be taken over."""


class UnreadableCheckpoint(ForeignError):
    """{path} cannot be read as a checkpoint: {reason}. Nothing was installed."""


class HostileCheckpoint(ForeignError):
    """{path} was refused: it contains {what}. Nothing in it was run and nothing was installed; do not use this file."""


class UnknownArchitecture(ForeignError):
    """{path} is of no architecture that Stemwright has: {reason}. It has HTDemucs, BS- and Mel-Band RoFormer, SCNet,
    TFC-TDF v3 (MDX23C) and MDX-Net."""


class BadStems(ForeignError):
    """The stems {stems} cannot be those of {path}: {reason}."""


class BadConfig(ForeignError):
    """The configuration {path} cannot be used: {reason}. Give the yaml that belongs to the checkpoint, or none."""


class ConversionStopped(ForeignError):
    """Reading {path} was stopped: it took more than {limit}. Nothing was installed; the file is damaged or hostile."""


class NameTaken(ForeignError):
    """There is a model named {model!r} already. Choose another name, or remove it: stemwright models remove
    {model}."""


class NameKept(NameTaken):
    """{model!r} is the name of a model or recipe that Stemwright knows, or of its recipes' folder. Choose another
    name."""


class BadName(ForeignError):
    """{model!r} cannot be a model's name: it may have letters, digits and . + - _ and begins with none of . + -. Choose
    another name."""


class FetchError(StemwrightError):
    """A model could not be fetched."""


class NothingNamed(FetchError, Misuse):
    """No model is named. Give models or recipes from the list: stemwright models list."""


class UnknownUse(FetchError, Misuse):
    """There is no public model for the use {use!r}. Choose one of: {choices}."""


class NothingAllowed(FetchError):
    """No public model for the use {use!r} that can be fetched has a licence that the policy {policy!r} allows. Give
    another policy."""


class Offline(FetchError):
    """{model} is not on this machine and Stemwright is set to stay offline (STEMWRIGHT_OFFLINE). Pull it on another
    machine and copy its folder to {path}, or unset that."""


class NotFetched(FetchError):
    """{model} could not be fetched. Tried: {tried}. Try again: what has arrived is kept; or give a mirror in
    STEMWRIGHT_MIRROR."""


class NotPulled(FetchError):
    """The model {model} is not on this machine: it is {size} under the licence {licence}. Fetch it: stemwright models
    pull {model}{consent}"""


class RecipeIncomplete(FetchError):
    """The recipe {recipe} needs models that are not on this machine: {models}; {size} in all. Fetch them: stemwright
    models pull {recipe}{consent}"""


class LicenceForbids(FetchError):
    """{model} was not fetched: its licence is {licence} ({evidence}), and the policy is {policy!r}. If you accept it:
    stemwright models pull {model} --yes"""


class NotRunnable(FetchError):
    """{model} is listed but cannot be run: {reason}."""


class NoSuchDevice(StemwrightError):
    """{option} is {device!r}, which PyTorch cannot use here. It can use: {usable}."""


class UnknownPrecision(Misuse):
    """There is no precision {precision!r}. Choose one of: {choices}."""


class UnknownProfile(Misuse):
    """{model} has no profile {profile!r}. There is `consistent`, and for public models `upstream`."""


class FixedRate(Misuse):
    """The profile `upstream` gives stems at the rate of the model, {rate} Hz, and at no other. Leave out the rate, or
    use the profile `consistent`."""


class SpoiledAnswer(StemwrightError):
    """{model} answered with values that are no numbers, in {stem} at {seconds:.1f} s: its weights are damaged, or of
    another net. Remove it, and pull it or take it in again. Nothing was written."""


class ExtraMissing(StemwrightError):
    """This needs {missing}, which is not installed. Install it with: pip install 'stemwright[{extra}]'"""


class Cancelled(StemwrightError):
    """The separation was cancelled."""


# ---- service --------------------------------------------------------------------------------------------------------


class ServiceError(StemwrightError):
    """The service could not do what was asked."""


class ModelsNotReady(ServiceError):
    """This worker would fail tasks. {reasons} Mend it, or take the model out of STEMWRIGHT_MODEL and
    STEMWRIGHT_ALLOWED_MODELS."""


class InvalidKey(ServiceError):
    """You do not have access permissions: the key is missing, unknown, revoked, expired or not for your address."""


class OutOfScope(ServiceError):
    """You do not have access permissions: this key lacks the scope {scope}."""


class KeyNotFound(ServiceError):
    """There is no key {key}. `stemwright keys list` shows those that exist."""


class KeyEnded(ServiceError):
    """Key {key} has expired, and so would one like it. Give the new one an end of its own, or make another key."""


class KeyRevoked(ServiceError):
    """Key {key} was revoked: nothing takes its place. Make another key."""


class AccountExists(ServiceError):
    """There is an account {name!r} already. Choose another name."""


class AccountClosed(ServiceError):
    """Account {name!r} is closed and takes nothing any more."""


class AccountStays(ServiceError):
    """Account {name!r} is the operator's own: the next start would make another. Revoke its keys instead."""


class NotConfirmed(ServiceError):
    """Nothing was changed. Add --yes to close account {name!r}: it cannot be undone."""


class AccountNotFound(ServiceError):
    """There is no account {name!r}. `stemwright keys create --account {name}` makes one."""


class OutOfCredits(ServiceError):
    """Insufficient credits: this needs {needed}, the balance is {balance}."""


class NothingCharged(ServiceError):
    """Task {task_id} was never charged, so nothing can be given back."""


class TrackNotFound(ServiceError):
    """Record does not exist"""


class TrackElsewhere(TrackNotFound):
    """Record does not exist here, and no upstream key came along to look for it there. Send it in
    X-Upstream-Authorization."""


class TrackUnfinished(ServiceError):
    """The upstream knows this track but has no audio of it yet. Ask again once it is made."""


class UpstreamKeyMissing(ServiceError):
    """This call goes to the upstream and needs your own key for it. Send it in X-Upstream-Authorization."""


class UpstreamRefused(ServiceError):
    """The upstream does not accept the upstream key (it answered {code})."""


class UpstreamFailed(ServiceError):
    """The upstream gave no usable answer: {reason}. Nothing was charged here. Try again later."""


class TaskNotFound(ServiceError):
    """There is no task {task_id}."""


class QueueFull(ServiceError):
    """This account has {queued} unfinished tasks, and {limit} is the limit. Wait until some have ended."""


class TaskEnded(ServiceError):
    """Task {task_id} is {state}: it cannot become {wanted}."""


class TaskRunning(ServiceError):
    """Task {task_id} has not ended: it is {state}. Cancel it first."""


class Superseded(ServiceError):
    """Task {task_id} was taken over by another worker; the result of attempt {attempt} does not count."""


class FileGone(ServiceError):
    """The file {name} was kept for its time and has been deleted."""


class BlobNotFound(ServiceError):
    """There is no stored file {name}."""


class UnderMaintenance(ServiceError):
    """The service is in maintenance. Try again later."""


class DataInUse(ServiceError):
    """The data folder {path} is in use by another server (process {pid}). Stop that one, or give another folder with
    --data."""


class CannotOpenData(ServiceError):
    """The data folder {path} could not be opened: {reason}. Give another one with --data."""


class NoData(ServiceError):
    """There is no Stemwright data in {path}. Check --data or STEMWRIGHT_DATA; `stemwright serve` and `stemwright keys
    create` begin a new data folder."""


class BadSetting(ServiceError):
    """{name} is {value!r}: {reason}. Correct the setting."""


class PortInUse(ServiceError):
    """{host}:{port} could not be listened on: {reason}. Choose another {option}."""


class LedgerBroken(ServiceError):
    """The ledger does not agree: {wrong}"""


class DataTooNew(ServiceError):
    """The database was written by a newer version of Stemwright (its schema is {found}, this version knows {known}).
    Install that version or a newer one, or restore a backup from before it; nothing was changed."""


class DataTooOld(ServiceError):
    """The database has the schema {found}, and this version needs {known}. Run `stemwright migrate`."""


class SeparationFailed(ServiceError):
    """The separation failed: {reason}"""


class ChildDied(ServiceError):
    """The separation process ended unexpectedly ({how})."""


class LimitExceeded(ChildDied):
    """The separation was ended: it used {how}, more than one task may."""


class InputRefused(ServiceError):
    """{reason}"""


class UnknownBlobs(ServiceError):
    """There is no blob store for {url}. STEMWRIGHT_BLOBS_URL takes file:///folder, s3://bucket/prefix, gs://… or az://…,
    with options of the provider in its query: s3://bucket?endpoint=https://…"""


class CannotOpenBlobs(ServiceError):
    """Nothing can be stored in {url}: {reason}. Check STEMWRIGHT_BLOBS_URL, the credentials, and who may write."""


class BackupElsewhere(ServiceError):
    """Only a data folder is copied by this command. Back up PostgreSQL with pg_dump and object storage with its own
    tools; docs/guide/backup.md has the commands."""


class BackupNotEmpty(ServiceError):
    """There is something in {path} already. Give a new or an empty folder."""


class CannotBackUp(ServiceError):
    """No copy could be made in {path}: {reason}. Nothing of it is left there."""


class BlobsAway(ServiceError):
    """The blob store did not do what it was asked: {reason}. It is tried again; check STEMWRIGHT_BLOBS_URL."""


class CannotReachDatabase(ServiceError):
    """The database {url} cannot be used: {reason}. Check STEMWRIGHT_DATABASE_URL, and that its server runs."""


# ---- service: outbound HTTP -----------------------------------------------------------------------------------------


class AddressError(ServiceError):
    """The address could not be used."""


class BadUrl(AddressError):
    """This is not an http or https address. Give a full one, with its scheme, such as https://example.com/path."""


class BlockedAddress(AddressError):
    """The host of this address is not on the public internet. The operator can open networks with
    STEMWRIGHT_ALLOW_NETWORKS."""


class Unreachable(AddressError):
    """The address could not be reached ({reason})."""


class FetchTimeout(AddressError):
    """The address did not answer in full within {seconds:.0f} s."""


class FetchCutOff(AddressError):
    """The connection broke off after {size} bytes, before the file's end. Try again."""


class FetchTooLarge(AddressError):
    """The address gives more than the limit of {max_bytes} bytes."""


class TooManyRedirects(AddressError):
    """The address redirects more than {limit} times."""


class BadStatus(AddressError):
    """The address answered with HTTP status {status}."""


class FetchedPage(AddressError):
    """The address gives a web page, not audio. Give the address of the audio file itself."""


# ---- service: requests ----------------------------------------------------------------------------------------------


class NoSuchRoute(ServiceError):
    """There is no {method} {path}."""


class NotSignedIn(ServiceError):
    """Nobody is signed in: the session has ended, or its key has. Sign in again."""


class NotAllowed(ServiceError):
    """This needs a key with the scope {scope}."""


class SongGone(ServiceError):
    """The song of this task is no longer here, so it cannot be separated again. Upload it once more."""


class NoCallback(ServiceError):
    """Task {task_id} has no callback that could be sent again: it is unfinished, or none was asked for."""


class StillDelivering(ServiceError):
    """The callback of task {task_id} is still being delivered; wait until its attempts have ended."""


class ForgedRequest(ServiceError):
    """This request does not come from a page of ours: its X-CSRF-Token is missing or wrong. Load the page again."""


class BadJson(ServiceError):
    """The body is not valid JSON."""


class InvalidRequest(ServiceError):
    """{field}: {problem}"""


class MissingCallback(ServiceError):
    """Please enter callBackUrl."""


class WrongUrl(ServiceError):
    """url is wrong"""


class BodyTooLarge(ServiceError):
    """The body is larger than the limit of {max_bytes} bytes."""


class RateLimited(ServiceError):
    """Rate limit exceeded: {limit} requests per {window} s for each account. Try again in {retry_after} s."""


class UpstreamBusy(RateLimited):
    """The upstream takes no more calls for now. Try again in {retry_after} s."""


class TooFrequent(ServiceError):
    """Your call frequency is too high. Please try again later."""


class TooManyUploads(TooFrequent):
    """Too many uploads are on their way. Try again in a moment, or send the file as a form."""


class UploadsFull(ServiceError):
    """Your uploaded songs take {kept} bytes, and may take {limit}. Each is deleted {days} days after it came, or with
    its task; a song that is on the web needs no upload."""


class RequestRunning(ServiceError):
    """A request with this Idempotency-Key is still running. Repeat it in a moment."""


class IdempotencyReused(ServiceError):
    """This Idempotency-Key was used with another body. Use a new one for a new request."""


# ---- client of a service --------------------------------------------------------------------------------------------


class ClientError(StemwrightError):
    """The server could not be used."""


class NotReached(ClientError):
    """{url} could not be reached: {reason}. Check the address and that the server runs."""


class NotAnApi(ClientError):
    """{url} did not answer as the Suno stem API does (HTTP status {status}). Check the address."""


class MaybeTaken(ClientError):
    """{url} gave no answer ({reason}), so the separation may have begun and been charged. This server does not tell
    repetitions apart: look whether it runs before asking again."""


class Refused(ClientError):
    """{url} answered with code {code}: {message}"""


class BadRequest(Refused):
    """{url} does not accept this (code {code}): {message}"""


class KeyRefused(Refused):
    """{url} does not accept the key (code {code}): {message}"""


class NoCreditsLeft(Refused):
    """There are not enough credits at {url} (code {code}): {message}"""


class NotThere(Refused):
    """There is no such thing at {url} (code {code}): {message}"""


class Conflicting(Refused):
    """{url} is at work on this already, or it cannot be done now (code {code}): {message}"""


class TooBig(Refused):
    """This is too large for {url} (code {code}): {message}"""


class TooManyRequests(Refused):
    """{url} has been asked too often (code {code}): {message}"""


class InMaintenance(Refused):
    """{url} is in maintenance (code {code}): {message}"""


class ServerFault(Refused):
    """{url} failed (code {code}): {message}"""


class NotSeparated(ClientError):
    """Task {task_id} ended as {flag}: {message}"""


class StillRunning(ClientError):
    """Task {task_id} has not ended after {seconds:g} s. It goes on: wait for it again."""


class NotDownloaded(ClientError):
    """{url} could not be downloaded: {reason}. What has arrived is kept: download it again."""


class KeptNoMore(NotDownloaded):
    """{url} is not there (HTTP status {status}): files are kept for some days. Separate the song again."""


class WrongSignature(ClientError):
    """The callback is not genuine: {reason}. Check the secret, and that the body is as it came."""


class StaleWebhook(ClientError):
    """The callback is {age} s old, and {tolerance} s are allowed: it was sent again by a stranger, or a clock is
    wrong."""


# ---- tools for assistants -------------------------------------------------------------------------------------------


class NoSongGiven(StemwrightError):
    """No song is named. Give `song`, a path or an http(s) address, or with a server both `task_id` and `audio_id`."""


class NeedsServer(StemwrightError):
    """A song can be named by its ids only where a server separates: start `stemwright mcp` with --url and
    STEMWRIGHT_KEY. Here, give `song`, a path or an http(s) address."""


class NoSuchTask(StemwrightError):
    """There is no task {task_id!r} here. Tasks of this machine end with the program that began them: look in its
    folder of stems, or separate the song again."""


class NotDone(StemwrightError):
    """Task {task_id} is not done yet. Ask for its status with wait_seconds, and download it when it is done."""


# ---- training -------------------------------------------------------------------------------------------------------


class NoSongs(StemwrightError):
    """{folder} has no complete song ({half} half rendered). Render some
    (stemwright train compose) or take your own (stemwright train take) first."""


class SpoiledSong(StemwrightError):
    """The song file {path} cannot be used: {reason}. Delete its folder and render or take it
    again."""


class OtherRecipe(StemwrightError):
    """The checkpoint {path} was made by another recipe ({field}: {found}, this one says {expected}). Use another run
    folder; nothing was overwritten."""


class BadCheckpoint(StemwrightError):
    """The checkpoint {path} cannot be read: {reason}. Start the run again in another folder; nothing was
    overwritten."""


class BadStart(StemwrightError):
    """The weights in {path} cannot begin this training: {reason}. Give --start a model whose recipe has the same [net]
    as this one; learned cues may be new. Nothing was changed."""


class NoRun(StemwrightError):
    """There is no run of the recipe {recipe} in {folder} yet. Begin one with `stemwright train run`, or name the recipe
    of the run that is there with --recipe."""


class RunBusy(StemwrightError):
    """Another process trains in {folder}. Wait for its end, or give another folder; nothing was changed."""


class Diverged(StemwrightError):
    """The training diverged at step {step}: the loss is {loss}, its gradient {slope}. The last checkpoint is kept;
    lower the learning rate."""


class NoReferences(StemwrightError):
    """{folder} has no song with known stems. Give a folder of stems (wav, flac, mp3 …), of such folders, of .stem.mp4
    files, or a composed data set."""


class UnknownReference(StemwrightError):
    """{title!r} does not tell which stem it is. Say it, as in --stem "{title}=drums+bass"; stems are: {choices}."""


class UnequalStems(StemwrightError):
    """The stems of {name} have different {what}: {values}. Export them anew, all from the same start to the same
    end."""


class PartsMissing(StemwrightError):
    """The stems of {name} are not all of it: {mix} has {percent} % of its power from what is in none of them. Add the
    others, or take {mix} away to go by the mix of these alone."""


class SilentSong(StemwrightError):
    """{name} is silent: there is nothing to hear in it."""


class ShortSong(StemwrightError):
    """{name} lasts {seconds} s: it takes a second at least. Give a longer stretch of it."""


class NothingTold(StemwrightError):
    """In {folder} are accompaniments alone: there is nothing to tell from them. Compose songs beside them, or take some
    whose voices have files of their own."""


class StemsTooCoarse(StemwrightError):
    """{name} cannot be learned from: its {title} is {stems}. A file of several stems teaches something where voices are
    by themselves in it, or not in it. Give its parts, or say otherwise with --stem."""


class TakenElsewhere(StemwrightError):
    """{name} is in {folder} already: what is trained on is not measured on. Delete it there to take it here."""


class NotForTaking(StemwrightError):
    """{folder} is a data set already. Copy the folders of its songs, which say where their sounds are from."""


class UnknownTitle(Misuse):
    """No stem is called {title!r}, so --stem cannot say what it holds. There are: {choices}."""


class NothingMeasured(StemwrightError):
    """None of the {songs} songs could be measured."""


class NotMeasurable(StemwrightError):
    """{model} cannot be measured on these songs: its stems ({stems}) are not sums of theirs ({true})."""
