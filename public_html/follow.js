// A log that still grows is followed to its end, until the reader scrolls away from there.
//
// A file of its own: the page goes on coming as long as the log grows, and other scripts wait for all of it.
"use strict";

(() => {
    const main = document.getElementById("content");
    // How near to the end counts as there, in pixels.
    const NEAR = 60;
    // Who asked for one line is left there.
    let follows = !location.hash, bottom = 0;
    if (!main) return;

    function keep() {
        bottom = document.documentElement.scrollHeight - innerHeight;
        if (follows) scrollTo(0, bottom);
    }

    const growing = new MutationObserver(keep);
    growing.observe(main, { childList: true, subtree: true, characterData: true });
    addEventListener("scroll", () => {
        follows = scrollY >= bottom - NEAR;
    }, { passive: true });
    addEventListener("load", () => {
        keep();
        growing.disconnect();
    });
})();
