// What pages do beyond being read: they tell times in the reader's zone and count on, they and their tabs stay as a fresh
// load would show them, and the waterfall is walked by arrows.
//
// The server renders; this puts what it sends in place. Without it every page works, only not by itself.
"use strict";

// What changes while it is looked at, and as it was loaded, before anything is told in other words.
const main = document.getElementById("content");
const loaded = main ? main.innerHTML : "";

// Times in the reader's zone, and words that count: what `src/render/times.rs` and `src/render/counted.rs` write, told
// again with the same words.
const times = (() => {
    const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    const MINUTE = 60, HOUR = 60 * MINUTE, DAY = 24 * HOUR;

    let ahead = lead();
    // Elements whose words or bars change with time.
    let counting = [];
    let timer = 0;

    // How far the server's clock is ahead of this one. A page kept for the way back says what was so long ago.
    function lead() {
        const footer = document.getElementById("footer");
        const loaded = performance.getEntriesByType("navigation")[0];
        if (!footer || !footer.dataset.now || !loaded || loaded.type === "back_forward") return 0;
        return footer.dataset.now / 1000 - (performance.timeOrigin + loaded.responseStart);
    }

    // The server's present moment, in milliseconds.
    function now() {
        return Date.now() + ahead;
    }

    function two(number) {
        return String(number).padStart(2, "0");
    }

    function offset(moment) {
        const minutes = -moment.getTimezoneOffset();
        const size = Math.abs(minutes);
        return (minutes < 0 ? "-" : "+") + two(Math.floor(size / 60)) + ":" + two(size % 60);
    }

    function day(moment) {
        return [DAYS[moment.getDay()], two(moment.getDate()), MONTHS[moment.getMonth()], moment.getFullYear()].join(" ");
    }

    const SHAPES = {
        short: (moment) => two(moment.getHours()) + ":" + two(moment.getMinutes()),
        clock: (moment) => SHAPES.short(moment) + ":" + two(moment.getSeconds()),
        minute: (moment) => MONTHS[moment.getMonth()] + " " + two(moment.getDate()) + " " + SHAPES.short(moment),
        full: (moment) => day(moment) + " " + SHAPES.clock(moment),
    };

    function say(element, words) {
        if (element.textContent !== words) element.textContent = words;
    }

    // Tells every moment below `root` in the reader's zone.
    function tell(root) {
        for (const element of root.querySelectorAll("time[data-shape]")) {
            const moment = new Date(element.dateTime);
            if (isNaN(moment) || !SHAPES[element.dataset.shape]) continue;
            say(element, SHAPES[element.dataset.shape](moment));
            const exact = SHAPES.full(moment) + " " + offset(moment).replace(":", "");
            if (element.title !== exact) element.title = exact;
        }
        const zone = offset(new Date(now()));
        for (const element of root.querySelectorAll(".zone")) say(element, zone === "+00:00" ? "UTC" : zone);
        for (const table of root.querySelectorAll("table.waterfall")) nameDays(table);
    }

    // The waterfall names the day where it is another than in the row above; today needs no name.
    function nameDays(table) {
        let before = day(new Date(now()));
        for (const element of table.querySelectorAll("tbody .Time time")) {
            const its = day(new Date(element.dateTime));
            let name = element.parentNode.querySelector(".day");
            if (its === before) {
                if (name) name.remove();
                continue;
            }
            before = its;
            if (!name) {
                name = document.createElement("span");
                name.className = "day";
                element.before(name);
            }
            say(name, its);
        }
    }

    // `4 s`, `3 min 12 s`, `2 h 5 min`, `3 d 4 h`.
    function brief(milliseconds) {
        const seconds = Math.floor(milliseconds / 1000);
        if (seconds === 0 && milliseconds > 0) return "< 1 s";
        if (seconds < MINUTE) return seconds + " s";
        if (seconds < HOUR) return parts(seconds, MINUTE, "min", 1, "s");
        if (seconds < DAY) return parts(seconds, HOUR, "h", MINUTE, "min");
        return parts(seconds, DAY, "d", HOUR, "h");
    }

    function parts(seconds, large, largeName, small, smallName) {
        const rest = Math.floor(seconds % large / small);
        return Math.floor(seconds / large) + " " + largeName + (rest ? " " + rest + " " + smallName : "");
    }

    // In whole minutes from the first one on.
    function coarse(milliseconds) {
        const minute = MINUTE * 1000;
        return brief(milliseconds < minute ? milliseconds : milliseconds - milliseconds % minute);
    }

    // `past` is how long ago the moment was, at least 0; `future` how far off it is.
    const WORDS = {
        ago: (past) => coarse(past) + " ago",
        for: (past) => brief(past),
        left: (past, future) => future > 0 ? brief(future) + " left" : "late by " + brief(past),
        in: (past, future) => future > 0 ? "in " + coarse(future) : "now",
    };

    function count(element, moment) {
        const words = WORDS[element.dataset.count];
        const off = Number(element.dataset.at) - moment;
        if (words) say(element, words(Math.max(0, -off), off));
    }

    function move(bar, moment) {
        const from = Number(bar.dataset.from), to = Number(bar.dataset.to);
        const part = Math.floor(Math.min(99, Math.max(1, (moment - from) / Math.max(1, to - from) * 100)));
        if (bar.classList.contains("progress")) {
            bar.classList.toggle("late", to <= moment);
            bar.setAttribute("aria-valuenow", part);
        }
        bar.firstElementChild.setAttribute("width", part + "%");
    }

    function advance(elements) {
        const moment = now();
        for (const element of elements) (element.dataset.count ? count : move)(element, moment);
    }

    function found(root) {
        return [...root.querySelectorAll("[data-count], svg[data-to]")];
    }

    function tick() {
        clearTimeout(timer);
        if (document.hidden || !counting.length) return;
        advance(counting);
        timer = setTimeout(tick, 1000 - now() % 1000);
    }

    // Looks again for what counts: the page has changed, or is looked at again.
    function watch() {
        counting = found(document);
        tick();
    }

    document.addEventListener("visibilitychange", watch);
    tell(document);
    watch();

    return {
        // The server says what time it is: the page may have been kept for a while.
        set(moment) {
            ahead = moment - Date.now();
        },
        // Makes what the server sent say what this page says of the same moments.
        prepare(fresh) {
            tell(fresh);
            advance(found(fresh));
            // What stands there is brought to the same second, so that only true differences are put in place.
            advance(counting);
        },
        watch,
    };
})();

// What the tab says: the content tells it, and so it changes with that.
const tab = (() => {
    function told() {
        const element = main && main.querySelector("[data-title]");
        return element ? element.dataset.title : "";
    }

    // What stands behind it is the same all the time.
    const before = told().trim().replace(/\s+/g, " ");
    const rest = before && document.title.startsWith(before) ? document.title.slice(before.length) : "";

    return {
        tell() {
            if (rest && told()) document.title = told() + rest;
        },
    };
})();

// Live pages.
(() => {
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
    let lines = loaded.split("\n"), version = main.dataset.version;
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
        const opened = new WebSocket(address);
        socket = opened;
        opened.onopen = () => {
            if (socket === opened && offlineSince) say("catching-up", "catching up");
        };
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
        if (message.now) times.set(message.now);
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
        times.prepare(fresh.content);
        morph(main, fresh.content);
        times.watch();
        tab.tell();
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
