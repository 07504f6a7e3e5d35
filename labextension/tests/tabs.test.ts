import { expect, test } from 'vitest';

import { placeAfter } from '../src/components/Tabs';

test('the arrows walk around the tabs, Home and End go to the ends', () => {
  expect(placeAfter('ArrowRight', 2, 3)).toBe(0);
  expect(placeAfter('ArrowLeft', 0, 3)).toBe(2);
  expect(placeAfter('Home', 2, 3)).toBe(0);
  expect(placeAfter('End', 0, 3)).toBe(2);
});

test('any other key stays where it is', () => {
  expect(placeAfter('a', 1, 3)).toBeNull();
});
