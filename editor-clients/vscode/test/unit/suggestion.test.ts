import assert from "node:assert/strict";
import { test } from "node:test";
import { consumed, cutAt, oneLine, parted, sureEnd, withDots } from "../../src/suggestion.ts";

const suggestion = (text: string, sure: number) => ({ id: "1", text, sure });

test("what is typed is counted while it agrees", () => {
  assert.equal(consumed("sum(numbers)", ""), 0);
  assert.equal(consumed("sum(numbers)", "sum("), 4);
  assert.equal(consumed("sum(numbers)", "sun"), undefined);
  assert.equal(consumed("sum", "sum("), undefined);
});

test("line ends agree whatever they are", () => {
  assert.equal(consumed("if x:\n    y", "if x:\r\n  "), 8);
  assert.equal(consumed("if x:\r\n    y", "if x:\n  "), 9);
  assert.equal(consumed("if x: y", "if x:\r\n"), undefined);
});

test("positions count UTF-16 units", () => {
  assert.equal(consumed("🎉🎉 = 1", "🎉🎉"), 4);
});

test("the sure part does not end in blanks, which nobody would see", () => {
  assert.equal(sureEnd(suggestion("f(x)\n    return", 9)), 4);
  assert.equal(sureEnd(suggestion("f(x) ", 5)), 5);
});

test("the tail is parted from the first unsure token on", () => {
  assert.equal(cutAt(suggestion("sum(numbers or 0)", 11), 1), 11);
});

test("nothing is parted when all is sure, or the cursor has reached the tail", () => {
  assert.equal(cutAt(suggestion("sum(x)", 6), 0), undefined);
  assert.equal(cutAt(suggestion("sum(x)", 3), 3), undefined);
  assert.equal(cutAt(suggestion("sum(x)", 0), 0), undefined);
});

test("several lines are told in one", () => {
  assert.equal(oneLine("a"), "a");
  assert.equal(oneLine("a\r\n\n  b\n c"), "a ⏎ +2");
});

test("uncommitted tokens are dots", () => {
  const tokens: [number, number, 0 | 1][] = [
    [3, 0.9, 1],
    [4, 0.2, 0],
  ];
  assert.equal(withDots("sum (x)!", tokens), "sum ···!");
});

test("a bracket that closed itself stays where the sure part does not contain it", () => {
  const call = suggestion("sum(numbers or [0])", 11);
  const at = { taken: 4, end: 11 };
  const part = (replaced: string) => parted(call, { ...at, replaced });
  assert.deepEqual(part(""), { ghost: "numbers", tail: " or [0])", replaces: false });
  assert.deepEqual(part(")"), { ghost: "numbers", tail: " or [0]", replaces: false });
  assert.deepEqual(part("}"), { ghost: "numbers", tail: "", replaces: false });
});

test("a bracket that closed itself gives way where the sure part contains it", () => {
  const call = suggestion("sum(a) or b", 6);
  const part = parted(call, { taken: 4, end: 6, replaced: ")" });
  assert.deepEqual(part, { ghost: "a)", tail: "", replaces: true });
});
