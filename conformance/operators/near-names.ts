/**
 * What someone who misspelt a name may have meant.
 * @module
 */

/** Up to three known names that differ little from the given one, or hold it; the nearest first. */
export function nearNames(given: string, known: readonly string[]): string[] {
  const wanted = given.toLowerCase();
  return known
    .map((name) => ({ name, distance: distanceOf(wanted, name.toLowerCase()) }))
    .filter(({ distance, name }) => distance <= Math.max(1, Math.floor(name.length / 3)))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, 3)
    .map(({ name }) => name);
}

/** `; did you mean a or b?`, or nothing. */
export function didYouMean(given: string, known: readonly string[]): string {
  const near = nearNames(given, known);
  return near.length === 0 ? '' : `; did you mean ${near.join(' or ')}?`;
}

/** Letters to insert, delete or replace; 1 where one of the two contains the other. */
function distanceOf(a: string, b: string): number {
  if (a !== '' && a !== b && (a.length > 2 || b.length < 3) && b.includes(a)) return 1;
  let before = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = before[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(replaced, before[j] + 1, row[j - 1] + 1));
    }
    before = row;
  }
  return before[b.length];
}
