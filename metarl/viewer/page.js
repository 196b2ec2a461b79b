// Run by every browser that opens the page: light or dark as it prefers, and small print to be read by all.
const preferred = matchMedia("(prefers-color-scheme: dark)");

// The page is dark where its address says so; viser asks nobody.
function follow() {
  const there = new URL(location);
  if (preferred.matches === there.searchParams.has("darkMode")) return;
  if (preferred.matches) there.searchParams.set("darkMode", "");
  else there.searchParams.delete("darkMode");
  location.replace(there);
}

// viser's greys and its blue are too faint beside their papers.
const colours = `
  :root[data-mantine-color-scheme=light] {
    --mantine-color-gray-6: #5b6470 !important;
    --mantine-color-dimmed: #5b6470 !important;
    --mantine-primary-color-filled: #1f6fd6 !important;
  }
  :root[data-mantine-color-scheme=dark] {
    --mantine-color-dark-2: #a0a9b5 !important;
    --mantine-color-dimmed: #a0a9b5 !important;
  }`;

if (!document.getElementById("metarl")) {
  const style = document.createElement("style");
  style.id = "metarl";
  style.textContent = colours;
  document.head.append(style);
  preferred.addEventListener("change", follow);
  follow();
}
