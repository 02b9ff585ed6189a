// The little that pages share: values that tell who reads them when they change.
import { useLayoutEffect, useState } from "preact/hooks";

export class Store<T> {
  private readers = new Set<() => void>();

  constructor(public value: T) {}

  set(value: T): void {
    if (Object.is(value, this.value)) return;
    this.value = value;
    for (const reader of [...this.readers]) reader();
  }

  listen(reader: () => void): () => void {
    this.readers.add(reader);
    return () => this.readers.delete(reader);
  }
}

export function useStore<T>(store: Store<T>): T {
  const [, redraw] = useState({});
  const shown = store.value;
  // Effects run after the next paint, which can be long after an answer came: what changed until then would never be shown.
  useLayoutEffect(() => {
    if (!Object.is(store.value, shown)) redraw({});
    return store.listen(() => redraw({}));
  }, [store]);
  return shown;
}
