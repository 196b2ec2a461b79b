// Every visible text of the page with its contrast to what lies behind it (WCAG 2.2, 1.4.3).
const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });

const known = new Map(); // a page has few colours, and each is asked for often

function colour(text) {
  if (!known.has(text)) known.set(text, drawn(text));
  return [...known.get(text)];
}

function drawn(text) {
  canvas.canvas.width = canvas.canvas.height = 1;
  canvas.fillStyle = text;
  canvas.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
  return [r, g, b, a / 255];
}

function over(top, below) {
  const a = top[3] + below[3] * (1 - top[3]);
  if (a === 0) return [0, 0, 0, 0];
  const mixed = [0, 1, 2].map((i) => (top[i] * top[3] + below[i] * below[3] * (1 - top[3])) / a);
  return [...mixed, a];
}

function luminance(rgba) {
  const [r, g, b] = rgba.slice(0, 3).map((x) => {
    x /= 255;
    return x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function above(element) {
  return element.assignedSlot ?? element.parentElement ?? element.getRootNode().host ?? null;
}

// What the text and what lies behind it look like, through all that is half transparent.
function seen(element, ink) {
  let text = colour(ink);
  let behind = [0, 0, 0, 0];
  for (let at = element; at; at = above(at)) {
    const style = getComputedStyle(at);
    if (behind[3] < 1 && style.backgroundImage !== "none" && !style.backgroundImage.startsWith("url"))
      return null; // a gradient
    const own = colour(style.backgroundColor);
    [text, behind] = [over(text, own), over(behind, own)];
    const opacity = parseFloat(style.opacity);
    text[3] *= opacity;
    behind[3] *= opacity;
  }
  const paper = colour("Canvas");
  return [over(text, paper), over(behind, paper)];
}

function visible(element, boxes) {
  if (!element.checkVisibility({ opacityProperty: true, visibilityProperty: true })) return false;
  if (element.closest(":disabled, [aria-disabled=true]")) return false; // exempt, as WCAG says
  return [...boxes].some((box) => box.width > 1 && box.height > 1);
}

const found = [];
function judge(element, words, ink, boxes) {
  if (!words.trim() || !visible(element, boxes)) return;
  const style = getComputedStyle(element);
  const size = parseFloat(style.fontSize);
  const large = size >= 24 || (size >= 18.66 && parseInt(style.fontWeight) >= 700);
  const pair = seen(element, ink);
  const lights = pair?.map(luminance).sort((a, b) => b - a);
  found.push({
    words: words.trim().replace(/\s+/g, " ").slice(0, 60),
    where: `${element.tagName.toLowerCase()}.${[...element.classList].join(".")}`,
    ratio: lights ? (lights[0] + 0.05) / (lights[1] + 0.05) : null,
    needed: large ? 3 : 4.5,
    colours: pair?.map((rgba) => `rgb(${rgba.slice(0, 3).map(Math.round)})`).join(" on "),
  });
}

function walk(root) {
  const nodes = document.createTreeWalker(root, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT);
  for (let node = nodes.nextNode(); node; node = nodes.nextNode()) {
    if (node.nodeType === Node.TEXT_NODE) {
      const element = node.parentElement ?? node.getRootNode().host;
      const range = document.createRange();
      range.selectNodeContents(node);
      judge(element, node.data, getComputedStyle(element).color, range.getClientRects());
      continue;
    }
    if (node.shadowRoot) walk(node.shadowRoot);
    const boxes = node.getClientRects();
    if (["INPUT", "TEXTAREA", "SELECT"].includes(node.tagName)) {
      const empty = !node.value;
      const ink = getComputedStyle(node, empty ? "::placeholder" : null).color;
      if (!["hidden", "checkbox", "radio", "range"].includes(node.type))
        judge(node, empty ? (node.placeholder ?? "") : node.value, ink, boxes);
    }
    for (const part of ["::before", "::after"]) {
      const style = getComputedStyle(node, part);
      const said = style.content.match(/^"(.*\w.*)"$/);
      if (said) judge(node, said[1], style.color, boxes);
    }
  }
}
walk(document.documentElement);
return found;
