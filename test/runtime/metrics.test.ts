import assert from 'node:assert/strict';
import { createMetrics } from '../../src/runtime/metrics.ts';

const bare = { processMetrics: false };

async function textOf(metrics: ReturnType<typeof createMetrics>, format?: 'openmetrics'): Promise<string> {
  return (await metrics.render(format)).body;
}

describe('metrics', () => {
  it('count on a child that is held', async () => {
    const metrics = createMetrics(bare);
    const opened = metrics.counter({
      name: 'istio_tcp_connections_opened_total',
      help: 'Opened.',
      labels: ['reporter'],
    });
    const child = opened.child({ reporter: 'source' });

    child.inc();
    child.inc(2);

    assert.match(await textOf(metrics), /^istio_tcp_connections_opened_total\{reporter="source"\} 3$/m);
  });

  it('hand out the same child for the same labels', () => {
    const family = createMetrics(bare).counter({ name: 'a_total', help: 'A.', labels: ['x', 'y'] });

    assert.equal(family.child({ x: '1', y: '2' }), family.child({ y: '2', x: '1' }));
    assert.notEqual(family.child({ x: '1', y: '2' }), family.child({ x: '2', y: '1' }));
    assert.notEqual(family.child({ x: '1","2', y: '' }), family.child({ x: '1', y: '2' }));
  });

  it('never let a counter go back', () => {
    const child = createMetrics(bare).counter({ name: 'a_total', help: 'A.' }).child({});

    child.inc(5);
    child.inc(-3);
    child.inc(Number.NaN);

    assert.equal(child.value, 5);
  });

  it('show a metric without labels as 0 before it is counted', async () => {
    const metrics = createMetrics(bare);
    metrics.counter({ name: 'a_total', help: 'A.' });

    assert.match(await textOf(metrics), /^a_total 0$/m);
  });

  it('count label sets beyond the bound together and say so', async () => {
    const metrics = createMetrics(bare);
    const family = metrics.counter({ name: 'a_total', help: 'A.', labels: ['peer'], labelSetsMax: 2 });

    for (const peer of ['p1', 'p2', 'p3', 'p4']) family.child({ peer }).inc();

    const text = await textOf(metrics);
    assert.equal(family.size, 2);
    assert.match(text, /^a_total\{peer="overflow"\} 2$/m);
    assert.match(text, /^culvert_metrics_overflow_total\{metric="a_total"\} 2$/m);
    assert.doesNotMatch(text, /p3/);
  });

  it('forget a label set that was removed', async () => {
    const metrics = createMetrics(bare);
    const family = metrics.gauge({ name: 'a', help: 'A.', labels: ['pod'] });
    family.child({ pod: 'gone' }).set(1);

    family.remove({ pod: 'gone' });

    assert.doesNotMatch(await textOf(metrics), /gone/);
    assert.equal(family.child({ pod: 'gone' }).value, 0);
  });

  it('write histograms with cumulative buckets', async () => {
    const metrics = createMetrics(bare);
    const child = metrics
      .histogram({ name: 'd_seconds', help: 'D.', labels: ['q'], buckets: [0.1, 1] })
      .child({ q: 'a' });

    for (const value of [0.1, 0.5, 7]) child.observe(value);

    const text = await textOf(metrics);
    assert.match(text, /^d_seconds_bucket\{q="a",le="0.1"\} 1$/m);
    assert.match(text, /^d_seconds_bucket\{q="a",le="1"\} 2$/m);
    assert.match(text, /^d_seconds_bucket\{q="a",le="\+Inf"\} 3$/m);
    assert.match(text, /^d_seconds_sum\{q="a"\} 7.6$/m);
    assert.match(text, /^d_seconds_count\{q="a"\} 3$/m);
  });

  it('escape what a label must not contain', async () => {
    const metrics = createMetrics(bare);
    metrics
      .gauge({ name: 'a', help: 'A.', labels: ['x'] })
      .child({ x: 'q"\n\\' })
      .set(1);

    assert.match(await textOf(metrics), /^a\{x="q\\"\\n\\\\"\} 1$/m);
  });

  it('keep the names of counters in both formats, however often they are rendered', async () => {
    const metrics = createMetrics(bare);
    metrics.counter({ name: 'a_total', help: 'A.' }).child({}).inc();

    const open = await textOf(metrics, 'openmetrics');
    const plain = await textOf(metrics);

    assert.match(open, /^# TYPE a counter\na_total 1$/m);
    assert.match(open, /# EOF\n$/);
    assert.match(plain, /^# TYPE a_total counter\na_total 1$/m);
    assert.equal(await textOf(metrics, 'openmetrics'), open);
  });

  it('read values that are not counted at the time of rendering', async () => {
    const metrics = createMetrics(bare);
    const gauge = metrics.gauge({ name: 'open', help: 'Open.' }).child({});
    let open = 1;
    const end = metrics.onRender(() => gauge.set(open));

    open = 42;
    assert.match(await textOf(metrics), /^open 42$/m);
    end();
    open = 43;
    assert.match(await textOf(metrics), /^open 42$/m);
  });

  it('give the same family for the same declaration and refuse a different one', () => {
    const metrics = createMetrics(bare);
    const first = metrics.counter({ name: 'a_total', help: 'A.', labels: ['x'] });

    assert.equal(metrics.counter({ name: 'a_total', help: 'A.', labels: ['x'] }), first);
    assert.throws(() => metrics.counter({ name: 'a_total', help: 'A.' }), { code: 'ERR_CULVERT_METRIC' });
    assert.throws(() => metrics.gauge({ name: 'a_total', help: 'A.', labels: ['x'] }), {
      code: 'ERR_CULVERT_METRIC',
    });
  });

  it('bring those of the process itself', async () => {
    const text = await textOf(createMetrics());

    assert.match(text, /^process_cpu_seconds_total [\d.e-]+$/m);
    assert.match(text, /^process_open_fds \d+$/m);
  });
});
