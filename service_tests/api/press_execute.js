// Press Execute in /docs for each media type of each operation with a body; `#pressed` then has what came, as JSON.
// The address of the page has the adaptation for operations that take one: ?id=

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function until(find) {
  for (let tries = 0; tries < 200; tries++) {
    const found = find();
    if (found) return found;
    await wait(50);
  }
  throw new Error(`it never comes: ${find}`);
}

/** Fill in a field as a user does: React reads it when it hears of it. */
function fill(field, value) {
  Object.getOwnPropertyDescriptor(Object.getPrototypeOf(field), "value").set.call(field, value);
  field.dispatchEvent(new Event(field.tagName === "SELECT" ? "change" : "input", { bubbles: true }));
}

async function press(block, media) {
  const find = (selector) => block.querySelector(selector);
  fill(find(".body-param-content-type select"), media);
  await until(() => !find(".live-responses-table"));
  find(".execute").click();
  const row = ".live-responses-table tbody";
  const answer = await until(() => find(`${row} .response-col_description :is(pre, a[download])`));
  return {
    operation: block.id.split("-").pop(),
    media,
    status: find(`${row} .response-col_status`).innerText,
    answer: answer.innerText,
    curl: find(".curl").innerText,
  };
}

async function pressAll() {
  const pressed = [];
  await until(() => document.querySelector(".opblock"));
  for (const block of document.querySelectorAll(".opblock-post, .opblock-patch")) {
    block.querySelector(".opblock-summary-control").click();
    (await until(() => block.querySelector(".try-out__btn"))).click();
    await until(() => block.querySelector(".execute"));
    if (!block.querySelector(".opblock-section-request-body")) continue;
    const id = block.querySelector("tr[data-param-name=id] input");
    if (id) fill(id, new URLSearchParams(location.search).get("id"));
    await wait(1000); // Swagger UI takes over what is typed after a while
    const medias = [...block.querySelectorAll(".body-param-content-type option")].map((option) => option.value);
    for (const media of medias) pressed.push(await press(block, media));
  }
  return pressed;
}

pressAll().catch(String).then((pressed) => {
  const result = document.createElement("script");
  Object.assign(result, { id: "pressed", type: "application/json", text: JSON.stringify(pressed) });
  document.body.append(result);
});
