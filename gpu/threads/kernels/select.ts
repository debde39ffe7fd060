/**
 * select: from what was noted to the K largest, by row. One thread does it: little more than K are noted.
 */

@unmanaged
export class SelectTask {
  /** As EncodeTask has them. */
  log: usize;
  capacity: i32;
  chunks: usize;
  chunk_count: i32;
  rows: i32;
  /** How many to keep of all; -1 keeps what was noted. */
  keep: i32;
  /** Room for every score noted. */
  scratch: usize;
  /** (rows + 1): where each row's entries start. */
  start: usize;
  /** For each entry: latent, value and score. */
  latent: usize;
  value: usize;
  score: usize;
}

/** The k-th largest of n numbers, k from 1, by quickselect: they change places. */
export function kthLargest(values: usize, n: i32, k: i32): f32 {
  let low = 0;
  let high = n - 1;
  const target = k - 1;
  while (low < high) {
    const pivot = middle(at(values, low), at(values, (low + high) >> 1), at(values, high));
    let i = low;
    let j = high;
    while (i <= j) {
      while (at(values, i) > pivot) i++;
      while (at(values, j) < pivot) j--;
      if (i > j) break;
      const held = at(values, i);
      put(values, i, at(values, j));
      put(values, j, held);
      i++;
      j--;
    }
    if (target <= j) high = j;
    else if (target >= i) low = i;
    else break;
  }
  return at(values, target);
}

function at(values: usize, i: i32): f32 {
  return load<f32>(values + ((<usize>i) << 2));
}

function put(values: usize, i: i32, value: f32): void {
  store<f32>(values + ((<usize>i) << 2), value);
}

function middle(a: f32, b: f32, c: f32): f32 {
  return max(min(a, b), min(max(a, b), c));
}

/**
 * The `keep` largest scores of all that was noted, in rows and there by latent; equal scores: the lower row, then the lower
 * latent. Returns how many were kept.
 */
export function gatherRows(t: SelectTask): i32 {
  let noted = 0;
  for (let c = 0; c < t.chunk_count; c++) {
    const chunk = t.chunks + <usize>c * 12;
    const entries = entriesOf(t, chunk);
    const count = load<i32>(chunk, 8) - load<i32>(chunk, 4);
    for (let e = 0; e < count; e++) {
      put(t.scratch, noted, load<f32>(entries + ((<usize>e) << 4), 12));
      noted++;
    }
  }
  const all = t.keep < 0 || noted <= t.keep;
  const cut = all || t.keep == 0 ? f32.MAX_VALUE : kthLargest(t.scratch, noted, t.keep);
  let room = t.keep;
  if (!all) for (let i = 0; i < noted; i++) room -= <i32>(at(t.scratch, i) > cut);

  // A row's entries lie in one chunk, by latent, but other rows' are between them: count, then place.
  memory.fill(t.start, 0, (<usize>t.rows + 1) << 2);
  for (let pass = 0; pass < 2; pass++) {
    for (let c = 0; c < t.chunk_count; c++) {
      const chunk = t.chunks + <usize>c * 12;
      const entries = entriesOf(t, chunk);
      const count = load<i32>(chunk, 8) - load<i32>(chunk, 4);
      for (let e = 0; e < count; e++) {
        const entry = entries + ((<usize>e) << 4);
        const score = load<f32>(entry, 12);
        if (!all && (t.keep == 0 || score < cut)) continue;
        const slot = t.start + ((<usize>load<i32>(entry)) << 2);
        if (pass == 0) {
          store<i32>(slot, load<i32>(slot) + 1);
          continue;
        }
        const place = load<i32>(slot);
        store<i32>(slot, place + 1);
        store<i32>(t.latent + ((<usize>place) << 2), load<i32>(entry, 4));
        store<f32>(t.value + ((<usize>place) << 2), load<f32>(entry, 8));
        store<f32>(t.score + ((<usize>place) << 2), score);
      }
    }
    if (pass == 0) startsFromCounts(t.start, t.rows);
  }
  startsFromEnds(t.start, t.rows);
  return all ? noted : dropEqual(t, cut, room);
}

function entriesOf(t: SelectTask, chunk: usize): usize {
  const thread = load<i32>(chunk);
  return t.log + ((<usize>thread * <usize>t.capacity + <usize>load<i32>(chunk, 4)) << 4);
}

/** Counts of n lists to where each starts; the last place holds the end. */
export function startsFromCounts(start: usize, n: i32): void {
  let sum = 0;
  for (let i = 0; i <= n; i++) {
    const slot = start + ((<usize>i) << 2);
    const count = i < n ? load<i32>(slot) : 0;
    store<i32>(slot, sum);
    sum += count;
  }
}

/** Back from where each list ends, as placing leaves it, to where it starts. */
export function startsFromEnds(start: usize, n: i32): void {
  for (let i = n; i > 0; i--) {
    store<i32>(start + ((<usize>i) << 2), load<i32>(start + ((<usize>(i - 1)) << 2)));
  }
  store<i32>(start, 0);
}

/** Of entries equal to the cut only the first `room` stay. Returns how many entries are left. */
function dropEqual(t: SelectTask, cut: f32, room: i32): i32 {
  let kept = 0;
  let read = 0;
  for (let row = 0; row < t.rows; row++) {
    const end = load<i32>(t.start + ((<usize>(row + 1)) << 2));
    store<i32>(t.start + ((<usize>row) << 2), kept);
    for (; read < end; read++) {
      const score = at(t.score, read);
      if (score == cut && room-- <= 0) continue;
      store<i32>(t.latent + ((<usize>kept) << 2), load<i32>(t.latent + ((<usize>read) << 2)));
      put(t.value, kept, at(t.value, read));
      put(t.score, kept, score);
      kept++;
    }
  }
  store<i32>(t.start + ((<usize>t.rows) << 2), kept);
  return kept;
}
