/** The style sheet's colours of Streams and pointers, --stream-0 to --stream-9. */

export const COLOURS = 10;

/** Return the colour that appears least among *taken*, the first of several. */
export function leastUsed(taken) {
  const counts = new Array(COLOURS).fill(0);
  for (const colour of taken) counts[colour] += 1;
  return counts.indexOf(Math.min(...counts));
}

/** Return a function from a colour's number to a canvas colour in the current theme. */
export function inTheme(element) {
  const style = getComputedStyle(element);
  return (colour) => style.getPropertyValue(`--stream-${colour}`);
}
