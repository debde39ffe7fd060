/**
 * Version of the package and of the semantics it defines; a test holds it to package.json.
 * @module
 */

export const version = '0.1.0';
