// The few things that are done to the document. Text goes in as text: a symbol can never become markup.

export const byId = (id) => document.getElementById(id);

/** Sets the text of an element, if it is another. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** A new element with a class and text or children. */
export function make(tag, className, ...inside) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...inside);
  return element;
}

/** A new element of a drawing. */
export function draw(tag, attributes, ...inside) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...inside);
  return element;
}

/** A row of buttons of which one is pressed. */
export function choices(box, names, words, choose) {
  const buttons = names.map((name) => {
    const button = make("button", "", words(name));
    button.type = "button";
    button.dataset.choice = name;
    button.addEventListener("click", () => choose(name));
    return button;
  });
  box.replaceChildren(...buttons);
}

/** Shows which of the buttons is pressed. */
export function press(box, name) {
  for (const button of box.children) button.setAttribute("aria-pressed", String(button.dataset.choice === String(name)));
}

/** Opens the one dialog there is, with a title and what it says. */
export function tell(title, ...inside) {
  say(byId("about-title"), title);
  byId("about-text").replaceChildren(...inside);
  byId("about").showModal();
}
