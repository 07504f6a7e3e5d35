"""What is too faint to be read on a page."""

from __future__ import annotations

#: Gives (text, ratio) of all texts below a selector whose contrast with their ground is less than WCAG's 4.5.
TOO_FAINT = """selector => {
  const numbers = colour => (colour.match(/[\\d.]+/g) ?? []).map(Number);
  const over = ([r, g, b, a = 1], under) => [r, g, b].map((part, n) => part * a + under[n] * (1 - a));
  const ground = node => {
    const chain = [];
    for (let one = node; one; one = one.parentElement) chain.unshift(getComputedStyle(one).backgroundColor);
    return chain.reduce((under, colour) => over(numbers(colour), under), [255, 255, 255]);
  };
  const light = colour => {
    const [r, g, b] = colour.map(part => part / 255).map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = [];
  for (const root of document.querySelectorAll(selector)) {
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const node = walker.currentNode.parentElement;
      if (!walker.currentNode.textContent.trim() || !node.checkVisibility() || node.closest(':disabled')) continue;
      const under = ground(node);
      const [one, two] = [light(over(numbers(getComputedStyle(node).color), under)), light(under)];
      const ratio = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
      if (ratio < 4.5) found.push([walker.currentNode.textContent, node.className, ratio.toFixed(2)]);
    }
  }
  return found;
}"""
