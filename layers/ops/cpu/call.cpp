#include "layers/ops/cpu/call.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "comm/base/error.h"
#include "layers/ops/kernel.h"
#include "layers/ops/threads.h"

namespace lockstep::onednn {
namespace {

// oneDNN's interface takes pointers to mutable data also for what it only reads.
void* writable(const void* data) {
  return const_cast<void*>(data);
}

}  // namespace

void report_reference(std::string_view implementation, std::string_view what, bool allowed) {
  if (!is_reference(implementation)) return;
  if (!allowed) {
    throw UsageError(
        fmt::format("{} could only run on oneDNN's reference code ({}), which is no measure of what this "
                    "processor can do",
                    what, implementation));
  }
  spdlog::warn("{} runs on oneDNN's reference code ({}) and will be slow on this processor", what,
               implementation);
}

Call::Call(const dnnl::primitive_desc_base& desc, const std::vector<Argument>& arguments, int threads)
    : primitive_(make_alone<dnnl::primitive>(desc.get())),
      scratchpad_bytes_(desc.scratchpad_desc().get_size()) {
  check_compute_thread();
  for (int thread = 0; thread < threads; ++thread) {
    Lane lane{dnnl::stream(engine()), Memory(desc.scratchpad_desc(), engine(), nullptr), {}, {}};
    lane.arguments.emplace(DNNL_ARG_SCRATCHPAD, lane.scratchpad);
    for (const Argument& argument : arguments) {
      Memory memory;
      if (!argument.desc.is_zero()) {
        memory = Memory(argument.desc, engine(), nullptr);
        lane.arguments.emplace(argument.kind, memory);
      }
      lane.in_order.push_back(memory);
    }
    lanes_.push_back(std::move(lane));
  }
}

void Call::operator()(int thread, std::initializer_list<const void*> data, std::byte* scratchpad) const {
  check_compute_thread();
  const Lane& lane = lanes_.at(static_cast<std::size_t>(thread));
  auto memory = lane.in_order.begin();
  for (const void* address : data) {
    if (*memory) memory->set_data_handle(writable(address));
    ++memory;
  }
  if (scratchpad_bytes_ > 0) lane.scratchpad.set_data_handle(scratchpad);
  primitive_.execute(lane.stream, lane.arguments);
  // The stream of a CPU engine runs in order on this thread: the result is there.
}

}  // namespace lockstep::onednn
