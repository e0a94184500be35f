#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static bool as_json;

void log_as_json(bool json) { as_json = json; }

void say(const char* level, const char* format, ...) {
  char message[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);

  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  struct tm utc;
  gmtime_r(&now.tv_sec, &utc);
  char time[32];
  strftime(time, sizeof time, "%Y-%m-%dT%H:%M:%S", &utc);

  char line[768];
  int length =
      as_json ? snprintf(line, sizeof line,
                         "{\"level\":\"%s\",\"time\":\"%s.%03ldZ\",\"scope\":\"holder\",\"msg\":\"%s\"}\n", level,
                         time, now.tv_nsec / 1000000, message)
              : snprintf(line, sizeof line, "%s.%03ldZ %-5s holder: %s\n", time, now.tv_nsec / 1000000, level, message);
  // Nobody to complain to if it does not get out.
  if (write(STDERR_FILENO, line, (size_t)length) < 0) return;
}
