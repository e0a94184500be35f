// Intrusive doubly linked list: an object sits in it without an allocation and leaves it in O(1).
// A node leaves its list when it is destroyed, so a list never holds a dangling member.
#pragma once

#include <cstddef>

namespace culvert {

class ListNode {
 public:
  ListNode() = default;
  ListNode(const ListNode&) = delete;
  ListNode& operator=(const ListNode&) = delete;
  ~ListNode() { Unlink(); }

  bool linked() const { return next_ != this; }
  void Unlink() {
    prev_->next_ = next_;
    next_->prev_ = prev_;
    next_ = prev_ = this;
  }

 private:
  template <typename T>
  friend class List;
  ListNode* next_ = this;
  ListNode* prev_ = this;
};

/** `T` derives from ListNode (once per list kind: wrap with a tag type when it sits in several lists). */
template <typename T>
class List {
 public:
  bool empty() const { return !head_.linked(); }
  T* front() const { return empty() ? nullptr : static_cast<T*>(head_.next_); }
  T* next(T* item) const {
    ListNode* node = static_cast<ListNode*>(item)->next_;
    return node == &head_ ? nullptr : static_cast<T*>(node);
  }
  void PushBack(T* item) {
    auto* node = static_cast<ListNode*>(item);
    node->Unlink();
    node->prev_ = head_.prev_;
    node->next_ = &head_;
    head_.prev_->next_ = node;
    head_.prev_ = node;
  }
  T* PopFront() {
    T* item = front();
    if (item != nullptr) static_cast<ListNode*>(item)->Unlink();
    return item;
  }
  /** Moves all of `other` behind what is here. */
  void TakeAll(List& other) {
    while (T* item = other.PopFront()) PushBack(item);
  }

 private:
  ListNode head_;
};

}  // namespace culvert
