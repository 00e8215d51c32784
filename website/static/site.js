// What scrolls sideways can be reached by keyboard.
function reach() {
  for (const each of document.querySelectorAll(".content pre, .table-wrapper, .wide, .output, .embedded figure")) {
    if (each.scrollWidth > each.clientWidth) each.tabIndex = 0;
    else each.removeAttribute("tabindex");
  }
}
addEventListener("DOMContentLoaded", reach);
addEventListener("load", reach);
addEventListener("resize", reach);
