// Tempo and pitch without chipmunks. Sources play faster or slower; this brings the pitch to where it should be.

import moduleUrl from "signalsmith-stretch?url&no-inline";

interface StretchNode extends AudioNode {
  schedule(change: { active?: boolean; semitones?: number }): Promise<unknown>;
  latency(): Promise<number>;
}

type Create = ((context: AudioContext, options: AudioWorkletNodeOptions) => Promise<StretchNode>) & { moduleUrl: string };

export interface Stretch {
  input: AudioNode;
  latency: number;
  set(semitones: number): void;
}

/** A node before `output` that shifts the pitch, in the audio thread; its code is fetched when this is called. */
export async function openStretch(context: AudioContext, output: AudioNode): Promise<Stretch> {
  const url = new URL(moduleUrl, import.meta.url).href;
  const { default: create } = (await import(/* @vite-ignore */ url)) as { default: Create };
  create.moduleUrl = url; // else it would make itself a blob, which careful pages forbid
  const node = await create(context, { numberOfInputs: 1, numberOfOutputs: 1, outputChannelCount: [2] });
  node.connect(output);
  await node.schedule({ active: true, semitones: 0 });
  return {
    input: node,
    latency: await node.latency(),
    set: (semitones) => void node.schedule({ active: true, semitones }),
  };
}
