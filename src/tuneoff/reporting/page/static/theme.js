// Light or dark: the system's, until a button says otherwise.

const THEME = "tuneoff-theme";

/** Return the stored theme; nothing where the browser does not let a file store anything. */
function storedTheme() {
  try {
    return localStorage.getItem(THEME);
  } catch {
    return null;
  }
}

function storeTheme(theme) {
  try {
    localStorage.setItem(THEME, theme);
  } catch {
    // the theme then holds until the page is closed
  }
}

function startTheme() {
  const root = document.documentElement;
  const prefersDark = window.matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : prefersDark.matches);
  const button = element("button", { type: "button", id: "theme", class: "button" });
  const name = () => {
    button.textContent = isDark() ? "Light theme" : "Dark theme";
  };
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    storeTheme(root.dataset.theme);
    name();
  });
  const stored = storedTheme();
  if (stored === "light" || stored === "dark") root.dataset.theme = stored;
  prefersDark.addEventListener("change", name);
  name();
  document.querySelector(".masthead").append(button);
}
