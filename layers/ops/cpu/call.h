#pragma once

#include <cstddef>
#include <initializer_list>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "layers/ops/cpu/onednn.h"

namespace lockstep::onednn {

// Where oneDNN has nothing better than its reference code for a shape: warns, or throws UsageError where that
// is not allowed. `what` names operation and shape.
void report_reference(std::string_view implementation, std::string_view what, bool allowed);

// One of a primitive's arguments (DNNL_ARG_…). An empty desc is an argument that this shape does not have.
struct Argument {
  int kind = 0;
  Desc desc;
};

// A primitive with everything that running it needs, made once a thread: making memories and argument maps
// costs more than a small convolution.
class Call {
 public:
  // Throws std::logic_error on a thread that was not prepared (prepare_compute_thread).
  Call(const dnnl::primitive_desc_base& desc, const std::vector<Argument>& arguments, int threads);

  // Bytes to be given as `scratchpad`.
  std::size_t scratchpad_bytes() const { return scratchpad_bytes_; }

  // Runs it on the calling thread, which has index `thread`. `data`: the arguments, in their order.
  void operator()(int thread, std::initializer_list<const void*> data, std::byte* scratchpad) const;

 private:
  struct Lane {
    dnnl::stream stream;
    Memory scratchpad;
    std::vector<Memory> in_order;  // the arguments without the scratchpad
    std::unordered_map<int, Memory> arguments;
  };

  dnnl::primitive primitive_;
  std::size_t scratchpad_bytes_;
  std::vector<Lane> lanes_;
};

}  // namespace lockstep::onednn
