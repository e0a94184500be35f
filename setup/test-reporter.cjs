// Mocha's own reporter, plus the totals in a file for setup/suites.js. Where privileges are required, a test that
// skipped itself has failed: a suite that looks green because nothing ran is worse than a red one.
'use strict';
const { writeFileSync } = require('node:fs');
const { reporters } = require('mocha');

module.exports = class TestReporter extends reporters.Spec {
  constructor(runner, options) {
    super(runner, options);
    const strict = process.env.CULVERT_REQUIRE_ROOT === '1';
    const skipped = [];
    runner.on('pending', (test) => skipped.push(test.fullTitle()));
    runner.once('end', () => {
      const { passes, failures, pending } = runner.stats;
      const failed = failures + (strict ? pending : 0);
      if (strict) for (const title of skipped) console.log(`  FAIL skipped where it must run: ${title}`);
      const file = process.env.CULVERT_TEST_RESULT;
      if (file !== undefined)
        writeFileSync(file, JSON.stringify({ passed: passes, failed, skipped: strict ? 0 : pending }));
    });
  }
};
