// Small help with the document.

export const $ = (id) => document.getElementById(id);

/** An element with properties and children. */
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** Set an element's text, if it is another one. */
export function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** As many children as are needed; they are made once and filled again. */
export function rows(parent, count, makeRow) {
  while (parent.children.length < count) parent.append(makeRow());
  while (parent.children.length > count) parent.lastChild.remove();
  return parent.children;
}
