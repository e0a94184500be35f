// A move-only callable posted to a thread. What it captured is released when it is dropped unrun, so a command
// that comes too late never leaks a descriptor.
#pragma once

#include <memory>
#include <utility>

namespace culvert {

class Loop;

class Task {
 public:
  template <typename F>
  Task(F callable) : body_(std::make_unique<Body<F>>(std::move(callable))) {}
  void Run(Loop& loop) { body_->Run(loop); }

 private:
  struct Base {
    virtual ~Base() = default;
    virtual void Run(Loop& loop) = 0;
  };
  template <typename F>
  struct Body : Base {
    explicit Body(F callable) : callable(std::move(callable)) {}
    void Run(Loop& loop) override { callable(loop); }
    F callable;
  };
  std::unique_ptr<Base> body_;
};

}  // namespace culvert
