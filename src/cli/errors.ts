import { CulvertError } from '../runtime/errors.ts';

/** What scripts may rely on. The help and docs/cli.md list them. */
export const exitCodes = {
  ok: 0,
  /** The command did its work and the answer is no: denied, not ready, invalid; or a process failed. */
  no: 1,
  /** The command line or a setting is wrong. */
  usage: 2,
  /** The process to be asked is not there or does not answer. */
  unreachable: 3,
} as const;

export type CliErrorCode =
  | 'ERR_CULVERT_USAGE' // the command line is wrong
  | 'ERR_CULVERT_NO_PROCESS' // there is no process to ask
  | 'ERR_CULVERT_NO_ANSWER' // there is one, and it does not answer
  | 'ERR_CULVERT_UNKNOWN_NAME' // it answers, and does not know what was named
  | 'ERR_CULVERT_MACHINE'; // the machine lacks what capture needs

const exitCodeFor: Readonly<Record<CliErrorCode, number>> = {
  ERR_CULVERT_USAGE: exitCodes.usage,
  ERR_CULVERT_NO_PROCESS: exitCodes.unreachable,
  ERR_CULVERT_NO_ANSWER: exitCodes.unreachable,
  ERR_CULVERT_UNKNOWN_NAME: exitCodes.usage,
  ERR_CULVERT_MACHINE: exitCodes.no,
};

export class CliError extends CulvertError {
  readonly exitCode: number;

  constructor(code: CliErrorCode, message: string, options?: { cause?: unknown }) {
    super(code, message, options);
    this.exitCode = exitCodeFor[code];
  }
}
