/**
 * Opens pages in the system's Chromium for tests, and records what a page may not do: console errors and
 * requests. Without a browser such tests skip and say so in their names; where one is promised (CI, or
 * MATRYOSHKA_REQUIRE_CHROMIUM=1) they fail instead.
 * @module
 */
import { accessSync, constants, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { chromium, type Browser, type Page } from 'playwright-core';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];

/** $CHROMIUM if set (then nothing else is tried), else /usr/bin, else the search path. */
export const chromiumPath: string | undefined = findChromium();

const required = (process.env.CI ?? '') !== '' || process.env.MATRYOSHKA_REQUIRE_CHROMIUM === '1';

/** For `describe.skipIf` and `test.skipIf`. */
export const skipWithoutChromium: boolean = chromiumPath === undefined && !required;

/** To append to the name of a browser test. */
export const chromiumNote: string = skipWithoutChromium
  ? ' (skipped: no Chromium; install one or set CHROMIUM)'
  : '';

function findChromium(): string | undefined {
  const asked = process.env.CHROMIUM ?? '';
  if (asked !== '') return isExecutable(asked) ? asked : undefined;
  const folders = ['/usr/bin', ...(process.env.PATH ?? '').split(delimiter)];
  return folders.flatMap((folder) => NAMES.map((name) => join(folder, name))).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

let browser: Promise<Browser> | undefined;

function openChromium(): Promise<Browser> {
  if (chromiumPath === undefined) {
    throw new Error(
      'chromium: expected a browser at $CHROMIUM, /usr/bin/chromium or on the path, found none; ' +
        'install chromium (Debian: apt-get install chromium)',
    );
  }
  browser ??= chromium.launch({
    executablePath: chromiumPath,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
  return browser;
}

/** For `afterAll`: the next {@link withPage} starts the browser anew. */
export async function closeChromium(): Promise<void> {
  const open = browser;
  browser = undefined;
  await (await open)?.close();
}

export interface View {
  readonly colorScheme?: 'light' | 'dark';
  /** CSS px; 1280 if left out. */
  readonly width?: number;
  readonly height?: number;
  readonly media?: 'screen' | 'print';
}

export interface Recorded {
  /** Console messages of type error, uncaught exceptions, refused loads. */
  readonly consoleErrors: string[];
  /** Every address asked for, the opened file's first; `data:` addresses, which load nothing, are left out. */
  readonly requests: string[];
}

/**
 * @param source - a file to open, or text to open as a file of that type.
 * @throws Error if no browser was found, and whatever `use` throws.
 */
export async function withPage<T>(
  source: { readonly file: string } | { readonly html: string } | { readonly svg: string },
  { colorScheme = 'light', width = 1280, height = 900, media = 'screen' }: View,
  use: (page: Page, recorded: Recorded) => Promise<T>,
): Promise<T> {
  const context = await (
    await openChromium()
  ).newContext({ colorScheme, viewport: { width, height }, offline: true });
  const folder = mkdtempSync(join(tmpdir(), 'matryoshka-page-'));
  try {
    const page = await context.newPage();
    await page.emulateMedia({ media, colorScheme });
    const recorded: Recorded = { consoleErrors: [], requests: [] };
    page.on('console', (message) => {
      if (message.type() === 'error') recorded.consoleErrors.push(message.text());
    });
    page.on('pageerror', (error) => recorded.consoleErrors.push(String(error)));
    page.on('requestfailed', (request) => recorded.consoleErrors.push(`failed: ${request.url()}`));
    page.on('request', (request) => {
      if (!request.url().startsWith('data:')) recorded.requests.push(request.url());
    });
    await page.goto(pathToFileURL(fileOf(source, folder)).href);
    return await use(page, recorded);
  } finally {
    await context.close();
    rmSync(folder, { recursive: true });
  }
}

function fileOf(
  source: { readonly file: string } | { readonly html: string } | { readonly svg: string },
  folder: string,
): string {
  if ('file' in source) return source.file;
  const [name, text] = 'html' in source ? ['page.html', source.html] : ['figure.svg', source.svg];
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}
