"""The song as it is written: genres, form, harmony, parts and rhythm; no sound yet."""
