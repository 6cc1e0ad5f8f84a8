// What pages do beyond being read: they stay as a fresh load would show them, and the waterfall is walked by arrows.
//
// The server renders; this puts what it sends in place. Without it every page works, only not by itself.
"use strict";

// Live pages.
(() => {
    const main = document.getElementById("content");
    const sign = document.getElementById("live");
    if (!main || !sign || !main.dataset.live || !("WebSocket" in window)) return;

    // Pauses before the server is tried again, in milliseconds.
    const FIRST_PAUSE = 1000, LAST_PAUSE = 15000;
    // The server says something every 15 seconds. After this long it is gone, whatever the connection says of itself.
    const SILENT = 40000;

    let socket = null;
    let pause = FIRST_PAUSE;
    let retry = 0, watchdog = 0;
    let offlineSince = null;
    // The lines of the content shown, as the server numbers them, and what it knows them by.
    let lines = main.innerHTML.split("\n"), version = main.dataset.version;
    // The newest event this page shows; what was missed is asked for with it.
    let seq = main.dataset.seq;

    function say(state, words) {
        sign.hidden = false;
        sign.className = "live " + state;
        if (sign.textContent !== words) sign.textContent = words;
    }

    function clock(moment) {
        const two = (n) => String(n).padStart(2, "0");
        return two(moment.getHours()) + ":" + two(moment.getMinutes());
    }

    function connect() {
        clearTimeout(retry);
        if (socket) return;
        const address = new URL(main.dataset.live, location.href);
        address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
        address.searchParams.set("page", main.dataset.page);
        address.searchParams.set("seq", seq);
        address.searchParams.set("version", version);
        address.searchParams.set("user", main.dataset.user);
        if (offlineSince) say("catching-up", "catching up");
        const opened = new WebSocket(address);
        socket = opened;
        opened.onmessage = (event) => {
            if (socket === opened) take(JSON.parse(event.data));
        };
        listen();
        opened.onclose = () => {
            if (socket === opened) lost();
        };
    }

    function lost() {
        clearTimeout(watchdog);
        socket = null;
        // What is shown may be old by now: what is missing is sent when the server is back.
        seq = "0";
        offlineSince = offlineSince || new Date();
        say("offline", "offline since " + clock(offlineSince));
        clearTimeout(retry);
        retry = setTimeout(connect, pause * (0.5 + Math.random()));
        pause = Math.min(pause * 2, LAST_PAUSE);
    }

    function listen() {
        clearTimeout(watchdog);
        watchdog = setTimeout(() => {
            const silent = socket;
            lost();
            silent.close();
        }, SILENT);
    }

    function take(message) {
        listen();
        if (message.beat) return;
        if (message.reload) return location.reload();
        if (message.content !== undefined) {
            lines = message.content.split("\n");
        } else if (message.patch) {
            if (message.from !== version || message.lines !== lines.length) {
                // Of something else than what is here: without a version the whole is sent.
                version = "";
                socket.close();
                return;
            }
            for (const [at, removed, added] of message.patch) lines.splice(at, removed, ...added);
        }
        if (message.version) {
            version = message.version;
            show(lines.join("\n"));
        }
        pause = FIRST_PAUSE;
        offlineSince = null;
        say("on", "live");
    }

    function show(content) {
        const fresh = document.createElement("template");
        fresh.innerHTML = content;
        morph(main, fresh.content);
    }

    // Makes the children of `old` like those of `fresh`, keeping what is the same: where the reader is, what they
    // typed, opened and marked stays.
    function morph(old, fresh) {
        const before = [...old.childNodes], after = [...fresh.childNodes];
        let start = 0;
        while (start < before.length && start < after.length && before[start].isEqualNode(after[start])) start++;
        let end = 0;
        while (end < before.length - start && end < after.length - start &&
               before[before.length - 1 - end].isEqualNode(after[after.length - 1 - end])) end++;
        const going = before.slice(start, before.length - end);
        const coming = after.slice(start, after.length - end);
        const place = end ? before[before.length - end] : null;
        coming.forEach((node, index) => {
            const there = going[index];
            if (!there) old.insertBefore(node, place);
            else if (!alike(there, node)) old.replaceChild(node, there);
            else if (there.nodeType === Node.ELEMENT_NODE) {
                attributes(there, node);
                morph(there, node);
            } else if (there.nodeValue !== node.nodeValue) there.nodeValue = node.nodeValue;
        });
        going.slice(coming.length).forEach((node) => node.remove());
    }

    function alike(one, other) {
        return one.nodeType === other.nodeType && one.nodeName === other.nodeName && one.id === other.id;
    }

    function attributes(old, fresh) {
        for (const { name } of [...old.attributes]) {
            // What the reader opened stays open.
            if (!fresh.hasAttribute(name) && !(name === "open" && old.nodeName === "DETAILS")) old.removeAttribute(name);
        }
        for (const { name, value } of fresh.attributes) {
            if (old.getAttribute(name) !== value) old.setAttribute(name, value);
        }
    }

    function wake() {
        if (!socket && !document.hidden) {
            pause = FIRST_PAUSE;
            connect();
        }
    }
    addEventListener("online", wake);
    document.addEventListener("visibilitychange", wake);
    // A page the browser kept for the way back is shown as it was left.
    addEventListener("pageshow", (event) => {
        if (event.persisted && socket) {
            const old = socket;
            lost();
            old.close();
            wake();
        }
    });
    connect();
})();

// Arrow keys in the waterfall go from box to box; Enter opens what is under the focus, as everywhere.
(() => {
    // How far off a cell is in each direction, and how far aside; up and down stay in their column.
    const WAYS = {
        ArrowUp: (from, to) => [from.top - to.bottom, aside(from, to, "left", "right") ? Infinity : 0],
        ArrowDown: (from, to) => [to.top - from.bottom, aside(from, to, "left", "right") ? Infinity : 0],
        ArrowLeft: (from, to) => [from.left - to.right, aside(from, to, "top", "bottom")],
        ArrowRight: (from, to) => [to.left - from.right, aside(from, to, "top", "bottom")],
    };

    // How far one lies beside the other, 0 where they overlap.
    function aside(from, to, start, end) {
        return Math.max(0, to[start] - from[end] + 3, from[start] - to[end] + 3);
    }

    document.addEventListener("keydown", (event) => {
        const distance = WAYS[event.key];
        const frame = event.target.closest?.(".waterfall-frame");
        if (!distance || !frame || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
        const links = [...frame.querySelectorAll("tbody a:first-of-type")];
        const here = event.target.closest("td, th");
        let next = null;
        if (here) {
            const from = here.getBoundingClientRect();
            let nearest = [Infinity, Infinity];
            for (const link of links) {
                const cell = link.closest("td, th");
                if (cell === here) continue;
                const [off, beside] = distance(from, cell.getBoundingClientRect());
                // A pixel of border may overlap.
                if (off < -3 || beside === Infinity) continue;
                if (off < nearest[0] - 3 || (off < nearest[0] + 3 && beside < nearest[1])) {
                    [next, nearest] = [link, [off, beside]];
                }
            }
        } else {
            next = links[0];
        }
        event.preventDefault();
        if (next) next.focus();
        else frame.scrollBy({ top: { ArrowUp: -80, ArrowDown: 80 }[event.key] || 0,
                              left: { ArrowLeft: -80, ArrowRight: 80 }[event.key] || 0 });
    });
})();
