// Questions to a process's admin endpoint over its unix socket, which is reachable from every network namespace.
import { request } from 'node:http';
import { PlaygroundError } from './errors.ts';

const timeoutMs = 5000;

export interface AdminAnswer {
  readonly status: number;
  readonly body: string;
}

/** GET `path`. Throws ERR_CULVERT_PLAYGROUND_PROCESS if nobody answers. */
export function adminGet(socketPath: string, path: string): Promise<AdminAnswer> {
  return new Promise((resolve, reject) => {
    const fail = (cause: Error): void =>
      reject(
        new PlaygroundError(
          'ERR_CULVERT_PLAYGROUND_PROCESS',
          `${socketPath} does not answer: ${cause.message}`,
          {
            cause,
          },
        ),
      );
    const asked = request({ socketPath, path, agent: false, timeout: timeoutMs }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => (body += text));
      response.once('end', () => resolve({ status: response.statusCode ?? 0, body }));
      response.once('error', fail);
    });
    asked.once('timeout', () => asked.destroy(new Error(`no answer within ${timeoutMs} ms`)));
    asked.once('error', fail);
    asked.end();
  });
}

/** GET of a JSON document. */
export async function adminJson<T>(socketPath: string, path: string): Promise<T> {
  const { status, body } = await adminGet(socketPath, path);
  if (status !== 200)
    throw new PlaygroundError('ERR_CULVERT_PLAYGROUND_PROCESS', `${path} answered ${status}: ${body.trim()}`);
  return JSON.parse(body) as T;
}
