// Lines on standard error, in the form of ztunnel's own: text for people, or JSON for machines.
#pragma once

#include <stdbool.h>

void log_as_json(bool json);
// The text must need no escaping in JSON: words of ours and numbers, nothing that came from outside.
__attribute__((format(printf, 2, 3))) void say(const char* level, const char* format, ...);
