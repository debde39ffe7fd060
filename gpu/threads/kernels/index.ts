/** What the worker threads call, by name. A phase takes its task, the chunk to do, and the thread that does it. */
export { encodeAbove, encodeDense, encodeTop, scanAbove } from './encode';
export { gatherRows } from './select';
export { centreRows, decodeRows, errorRows, suffixRows } from './decode';
export { byLatent, latentGradients, projectRow } from './gradients';
export { adam, normaliseRow, updateLatents } from './adam';
export { addBias, gatherColumns, spreadRows, unpanel } from './dense';
export { errorColumns, gatherDead, missRows } from './auxk';
export { addGram, addProduct, packTiles } from './products';
export { sumOfSquares } from './vector';
