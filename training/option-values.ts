/**
 * Values of command-line options: a text becomes a number or list, or an error that names the option and the text.
 * @module
 */
import { UsageError } from './usage-error.ts';

/** For commander: turns an option's text into its value. */
export type Parse<T> = (text: string) => T;

/** @throws {@link UsageError} unless the text is a whole number of at least `least`. */
export function wholeNumber(option: string, least: number): Parse<number> {
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || !Number.isSafeInteger(value) || value < least) {
      throw new UsageError(
        `${option}: expected a whole number >= ${least}, got ${JSON.stringify(text)}`,
      );
    }
    return value;
  };
}

/** @throws {@link UsageError} unless the text is a finite number of at least `least`, or above it if `above`. */
export function realNumber(option: string, least: number, above = false): Parse<number> {
  return (text) => {
    const value = Number(text);
    if (
      text.trim() === '' ||
      !Number.isFinite(value) ||
      value < least ||
      (above && value === least)
    ) {
      throw new UsageError(
        `${option}: expected a number ${above ? 'above' : '>='} ${least}, got ${JSON.stringify(text)}`,
      );
    }
    return value;
  };
}

/** Numbers between commas; a fraction may be written as such: `1/32`. */
export function numberList(option: string): Parse<readonly number[]> {
  return (text) =>
    text.split(',').map((item) => {
      const parts = item.split('/').map((part) => (part.trim() === '' ? NaN : Number(part)));
      const value = parts.length === 1 ? parts[0] : parts.length === 2 ? parts[0] / parts[1] : NaN;
      if (!Number.isFinite(value)) {
        throw new UsageError(
          `${option}: expected numbers between commas, got ${JSON.stringify(item)} in ${JSON.stringify(text)}`,
        );
      }
      return value;
    });
}

/** @throws {@link UsageError} listing the choices unless the text is one of them. */
export function oneOf<T extends string>(option: string, choices: readonly T[]): Parse<T> {
  return (text) => {
    const found = choices.find((choice) => choice === text);
    if (found === undefined) {
      throw new UsageError(
        `${option}: expected one of ${choices.join(', ')}, got ${JSON.stringify(text)}`,
      );
    }
    return found;
  };
}
