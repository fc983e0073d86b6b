// What spares people a reload or a mistake. Every page works without it.

// Parts of a page that show what changes are read again, unless somebody is in the middle of something there. Rarely, where that takes long.
const EVERY = 2_000;
const PATIENCE = 10;

function isBusy(part) {
  return document.hidden || part.contains(document.activeElement) || !window.getSelection().isCollapsed;
}

async function refresh() {
  const part = document.querySelector("[data-live]");
  if (!part) return;
  const begun = performance.now();
  let wait = EVERY;
  if (!isBusy(part)) {
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" } });
      if (answer.redirected) return location.reload();
      if (!answer.ok) throw new Error(answer.status);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.querySelector("[data-live]");
      // What is done with is shown once more as a whole, with other buttons.
      if (!fresh) return location.reload();
      if (!isBusy(part)) replace(part, fresh);
      wait = Math.max(EVERY, PATIENCE * (performance.now() - begun));
    } catch {
      part.dataset.stale ??= new Date().toLocaleTimeString();
      wait = PATIENCE * EVERY;
    }
  }
  setTimeout(refresh, wait);
}

function replace(part, fresh) {
  const places = [...part.querySelectorAll(".wide")].map((table) => table.scrollLeft);
  // What somebody has opened or closed stays so.
  for (const details of fresh.querySelectorAll("details[id]")) {
    const known = part.querySelector(`#${details.id}`);
    if (known) details.open = known.open;
  }
  part.replaceWith(fresh);
  fresh.querySelectorAll(".wide").forEach((table, number) => (table.scrollLeft = places[number] ?? 0));
}

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.ask;
  if (question && !confirm(question)) event.preventDefault();
});

document.addEventListener("click", async (event) => {
  const text = event.target.closest("[data-copy]");
  if (!text || !window.getSelection().isCollapsed || !navigator.clipboard) return;
  await navigator.clipboard.writeText(text.textContent);
  text.classList.add("copied");
  setTimeout(() => text.classList.remove("copied"), 1_200);
});

// `tidings dev` prints a link that ends in `#` and a key. Browsers send no fragment, so only this page sees it, and it must not stay in the
// address. On another machine, the link may be somebody else's: there the person presses the button.
function readAddress() {
  const key = location.hash.startsWith("#tk_") ? location.hash.slice(1) : null;
  const address = new URL(location.href);
  // What was just done is said once.
  address.searchParams.delete("done");
  if (key) address.hash = "";
  if (address.href !== location.href) history.replaceState(null, "", address);
  const form = document.querySelector("form[data-sign-in]");
  if (!form || !key) return;
  form.elements.key.value = key;
  if (["localhost", "127.0.0.1", "[::1]"].includes(location.hostname)) form.requestSubmit();
}

// This page answers a form. Reading it again would send that again, and make another secret: the next page is read instead.
const instead = document.querySelector("[data-instead]");
if (instead) history.replaceState(null, "", instead.href);

readAddress();
addEventListener("hashchange", readAddress);
setTimeout(refresh, EVERY);
