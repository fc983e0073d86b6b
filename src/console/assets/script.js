// What spares people a reload or a mistake. Every page works without it.

// A page that shows what changes is read again every two seconds, unless somebody is in the middle of something on it.
const EVERY = 2000;

function isBusy() {
  const active = document.activeElement;
  const isTyping = active && active.matches("input, select, textarea, button");
  return document.hidden || isTyping || !window.getSelection().isCollapsed;
}

async function refresh() {
  const main = document.querySelector("main[data-live]");
  if (!main) return;
  if (!isBusy()) {
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" } });
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
      if (answer.redirected) location.reload();
      else if (answer.ok && fresh && !isBusy()) main.replaceWith(fresh);
    } catch {
      // The next time may go better; what is shown says how old it is.
    }
  }
  setTimeout(refresh, EVERY);
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
  setTimeout(() => text.classList.remove("copied"), 1200);
});

// `tidings dev` prints a link that ends in `#` and a key. Browsers send no fragment, so only this page sees it.
const form = document.querySelector("form[data-sign-in]");
if (form && location.hash.startsWith("#tk_")) {
  form.elements.key.value = location.hash.slice(1);
  history.replaceState(null, "", location.pathname);
  form.requestSubmit();
}

setTimeout(refresh, EVERY);
