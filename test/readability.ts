/**
 * What keeps an open page from being read: each fault as one line, none if all is well. Runs inside the browser,
 * on what was laid out there, because neither fonts nor colour schemes are known outside.
 * @module
 */
import type { Page } from 'playwright-core';

/**
 * Page wider than the window, body text below a contrast of 4.5, figures without aria-label, ids given twice, and
 * labels of figures that are cut off or lie on one another.
 */
export function readabilityFaults(page: Page): Promise<string[]> {
  return page.evaluate<string[]>(script);
}

// A string, not a function: the project compiles without the browser's types.
const script = `(() => {
  const faults = [];
  const excerpt = (element) => JSON.stringify(element.textContent.trim().slice(0, 40));

  const wide = document.documentElement.scrollWidth;
  if (wide > innerWidth) faults.push('page is ' + wide + ' px wide in a window of ' + innerWidth);

  const ids = [...document.querySelectorAll('[id]')].map(({ id }) => id);
  for (const id of new Set(ids)) {
    if (ids.filter((other) => other === id).length > 1) faults.push('id given twice: ' + id);
  }

  // rgb(…) up to 255; what color-mix makes is color(srgb …), up to 1.
  const channels = (colour) => colour.match(/[\\d.]+/g).map(Number)
    .map((c, i) => (colour.startsWith('color(srgb') && i < 3 ? c * 255 : c));
  const luminance = (colour) => {
    const [r, g, b] = channels(colour).slice(0, 3).map((c) => c / 255)
      .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const probe = document.createElementNS('http://www.w3.org/1999/xhtml', 'div');
  probe.style.cssText = 'background-color: Canvas';
  document.documentElement.append(probe);
  const canvas = getComputedStyle(probe).backgroundColor;
  probe.remove();
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      const [, , , alpha = 1] = channels(colour);
      if (alpha > 0) return colour;
    }
    return canvas;
  };
  for (const element of document.querySelectorAll('body *, svg *')) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim() !== '');
    if (!own || element.getClientRects().length === 0) continue;
    const style = getComputedStyle(element);
    const [light, dark] = [style[element.closest('svg') ? 'fill' : 'color'], ground(element)]
      .map(luminance).sort((a, b) => b - a);
    const contrast = (light + 0.05) / (dark + 0.05);
    if (!(contrast >= 4.5)) faults.push('contrast ' + contrast.toFixed(2) + ': ' + excerpt(element));
  }

  for (const svg of document.querySelectorAll('svg')) {
    if (svg.parentElement && svg.parentElement.closest('svg')) continue;
    const label = svg.getAttribute('aria-label');
    if (svg.getAttribute('role') !== 'img' || !label) faults.push('figure without role or aria-label');
    const frame = svg.getBoundingClientRect();
    const texts = [...svg.querySelectorAll('text')].map((text) => ({
      text, box: text.getBoundingClientRect(),
    })).filter(({ box }) => box.width > 0);
    texts.forEach(({ text, box }, i) => {
      if (box.left < frame.left - 1 || box.right > frame.right + 1 ||
          box.top < frame.top - 1 || box.bottom > frame.bottom + 1) {
        faults.push('label cut off: ' + excerpt(text) + ' in ' + label);
      }
      for (const other of texts.slice(i + 1)) {
        const width = Math.min(box.right, other.box.right) - Math.max(box.left, other.box.left);
        const height = Math.min(box.bottom, other.box.bottom) - Math.max(box.top, other.box.top);
        if (width > 1 && height > 1.5) {
          faults.push('labels overlap: ' + excerpt(text) + ' and ' + excerpt(other.text));
        }
      }
    });
  }
  return faults;
})()`;
