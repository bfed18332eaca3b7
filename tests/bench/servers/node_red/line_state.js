const counted = global.get('counted');
const line = msg.topic.split('/')[5];
const state = context.get(line) || { line, reports: 0, status: 'unknown', total: 0, good: 0 };
const report = msg.payload;
if (report.state === undefined) {
    state.total = report.total;
    state.good = report.good;
} else {
    state.status = report.state;
    state.since = Date.now();
}
state.reports += 1;
context.set(line, state);
counted.reports += 1;
if (state.reports % 4 !== 0) {
    return null;
}
counted.events += 1;
return { topic: `floor/v1/event/${line}`, payload: { ...state, timestamp: Date.now() } };
