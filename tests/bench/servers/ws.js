// The broadcast of the documentation of `ws` for Node.js: a loop over the clients that sends the event to each.
//
//     node ws.js MODULES EVENTS
//
// MODULES: the node_modules with `ws`. EVENTS has for each event two records, as flood.c reads them. It answers the
// commands that served.py describes.
'use strict';

const fs = require('fs');
const path = require('path');
const readline = require('readline');

const [modules, eventsFile] = process.argv.slice(2);
const { WebSocket, WebSocketServer } = require(path.join(modules, 'ws'));

const STAMP = '@mono:t';
const STAMP_DIGITS = 19;
const MS = 1_000_000n;

const answer = (content) => process.stdout.write(JSON.stringify(content) + '\n');

function readBodies(file) {
    const content = fs.readFileSync(file);
    const records = [];
    for (let at = 0; at < content.length; ) {
        const size = content.readUInt32BE(at);
        records.push(content.subarray(at + 4, at + 4 + size));
        at += 4 + size;
    }
    return records.filter((_, number) => number % 2 === 1);
}

const bodies = readBodies(eventsFile);
const stampsAt = bodies.map((body) => body.indexOf(STAMP) + STAMP.length);
let sent = 0;

function prepareEvent(due) {
    const number = sent++ % bodies.length;
    const event = Buffer.from(bodies[number]);
    event.write(String(due).padStart(STAMP_DIGITS, '0'), stampsAt[number], 'latin1');
    return event;
}

function prepareBatches(start, { rate, seconds, batch_ms: batchMs }) {
    const batches = [];
    for (let number = 0; number < (seconds * 1000) / batchMs; number++) {
        const due = start + BigInt(number * batchMs) * MS;
        const [before, until] = [number, number + 1].map((end) => Math.floor((rate * end * batchMs) / 1000));
        batches.push({ due, events: Array.from({ length: until - before }, () => prepareEvent(due)) });
    }
    return batches;
}

async function feed(batches) {
    let latest = 0n;
    for (const { due, events } of batches) {
        const waiting = due - process.hrtime.bigint();
        await new Promise((resume) => (waiting > 0n ? setTimeout(resume, Number(waiting) / 1e6) : setImmediate(resume)));
        const late = process.hrtime.bigint() - due;
        latest = late > latest ? late : latest;
        for (const event of events) broadcast(event);
    }
    return Number(latest) / 1e6;
}

const server = new WebSocketServer({ host: '127.0.0.1', port: 0, path: '/ws' }, () => answer(server.address().port));

function broadcast(data) {
    server.clients.forEach((client) => {
        if (client.readyState === WebSocket.OPEN) {
            client.send(data, { binary: false });
        }
    });
}

readline.createInterface({ input: process.stdin }).on('line', async (line) => {
    const start = BigInt(/"start": (\d+)/.exec(line)[1]); // JSON.parse would round it
    const batches = prepareBatches(start, JSON.parse(line).load);
    const inTime = process.hrtime.bigint() < start;
    answer({ in_time: inTime });
    if (inTime) answer({ late_ms: await feed(batches) });
}).on('close', () => process.exit());
