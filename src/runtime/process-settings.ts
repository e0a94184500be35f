// Settings that every long-running process has, for its table.
import { setting } from './setting-types.ts';

export const endpointSettings = {
  metricsAddress: setting.address('*:15020', 'where /metrics is served'),
  readinessAddress: setting.address('*:15021', 'where /healthz/ready is served'),
  adminAddress: setting.address(
    '127.0.0.1:15000',
    'where /config_dump, /logging and the rest is served; keep it on loopback',
  ),
  runDirectory: setting.path(
    '/run/culvert',
    'where processes of this machine register, with their admin sockets',
  ),
};

export const debuggingSettings = {
  debugging: setting.boolean(
    false,
    'allow what shows private keys: core dumps, debuggers of the same user, the inspector on SIGUSR1',
  ),
};

export const loggingSettings = {
  logLevel: setting.oneOf(
    ['trace', 'debug', 'info', 'warn', 'error', 'silent'],
    'info',
    'least level that is logged',
  ),
  logFormat: setting.oneOf(['text', 'json'], 'text', 'lines for people or for machines'),
};
