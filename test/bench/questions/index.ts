// All questions, in the order of the report.
import type { Question } from '../question.ts';
import { question as capture } from './capture.ts';
import { question as cold } from './cold.ts';
import { question as connect } from './connect.ts';
import { question as crowd } from './crowd.ts';
import { question as decisions } from './decisions.ts';
import { question as javascript } from './javascript.ts';
import { question as memory } from './memory.ts';
import { question as rate } from './rate.ts';
import { question as roundtrip } from './roundtrip.ts';
import { question as samenode } from './samenode.ts';
import { question as threads } from './threads.ts';
import { question as throughput } from './throughput.ts';

export const questions: readonly Question[] = [
  roundtrip,
  connect,
  rate,
  cold,
  throughput,
  threads,
  samenode,
  memory,
  crowd,
  capture,
  decisions,
  javascript,
];
