// The page's data, and how elements are made: texts become text nodes, so that none of them is ever markup.

const data = JSON.parse(document.getElementById("page-data").textContent);

/** Return a new element with these attributes and children; a child that is no element becomes text. */
function element(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** Return a part of an address as text, as it is where its percent signs are no encoding. */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** Call a function once no call has come for some milliseconds. */
function afterPause(milliseconds, call) {
  let timer;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(call, milliseconds);
  };
}
