/** Calls that come in bursts, and the one that matters: the last. */

export interface Clock {
  set(callback: () => void, ms: number): number;
  clear(handle: number): void;
}

export interface Debounced<A extends unknown[]> {
  (...args: A): void;
  /** Run a waiting call now. */
  flush(): void;
  /** Forget a waiting call. */
  cancel(): void;
  readonly pending: boolean;
}

export function debounce<A extends unknown[]>(
  fn: (...args: A) => void,
  ms: number,
  clock: Clock,
): Debounced<A> {
  let handle: number | undefined;
  let waiting: A | undefined;

  const run = () => {
    const args = waiting;
    handle = undefined;
    waiting = undefined;
    if (args !== undefined) {
      fn(...args);
    }
  };

  const debounced = (...args: A) => {
    waiting = args;
    if (handle !== undefined) {
      clock.clear(handle);
    }
    handle = clock.set(run, ms);
  };

  return Object.assign(debounced, {
    flush: run,
    cancel() {
      if (handle !== undefined) {
        clock.clear(handle);
      }
      handle = undefined;
      waiting = undefined;
    },
    get pending() {
      return handle !== undefined;
    },
  });
}

export function groupBy<T, K>(items: Iterable<T>, key: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const item of items) {
    const k = key(item);
    const group = groups.get(k);
    if (group) {
      group.push(item);
    } else {
      groups.set(k, [item]);
    }
  }
  return groups;
}
