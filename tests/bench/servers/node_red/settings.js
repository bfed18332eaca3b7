// Settings of Node-RED for the benchmark: no editor, and on stdin a line for each question of how far it is.
'use strict';

const readline = require('readline');

const counted = { connected: false, reports: 0, events: 0 };

readline.createInterface({ input: process.stdin }).on('line', () => {
    const { user, system } = process.cpuUsage();
    const progress = { at: Number(process.hrtime.bigint()) / 1e9, cpu_seconds: (user + system) / 1e6, ...counted };
    process.stdout.write(JSON.stringify(progress) + '\n');
});

module.exports = {
    flowFile: 'flows.json',
    credentialSecret: false,
    httpAdminRoot: false,
    httpNodeRoot: false,
    disableEditor: true,
    telemetry: { enabled: false, updateNotification: false },
    logging: { console: { level: 'off' } },
    functionGlobalContext: { counted },
};
