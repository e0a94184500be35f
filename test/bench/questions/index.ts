// All questions, in the order of the report.
import type { Question } from '../question.ts';
import { question as connect } from './connect.ts';
import { question as rate } from './rate.ts';
import { question as roundtrip } from './roundtrip.ts';
import { question as throughput } from './throughput.ts';

export const questions: readonly Question[] = [roundtrip, connect, rate, throughput];
