"use strict";

/** Calls `send` with the monotonic clock in ns, once in `period` ns on average. */
exports.pace = (period, send) => {
    let due = process.hrtime.bigint();
    const tick = () => {
        while (due <= process.hrtime.bigint()) {
            due += period;
            send(process.hrtime.bigint());
        }
        setTimeout(tick, Number(due - process.hrtime.bigint()) / 1e6);
    };
    tick();
};
