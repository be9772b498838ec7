#include "layers/ops/cuda/device/convolution_plan.h"

#include <fmt/format.h>

#include <stdexcept>
#include <unordered_map>
#include <vector>

static_assert(CUDNN_MAJOR >= 9, "lockstep needs cuDNN 9 or later");

namespace lockstep::cuda {
namespace {

namespace fe = cudnn_frontend;
using Attributes = fe::graph::Tensor_attributes;
using Tensor = std::shared_ptr<Attributes>;

// What a graph calls its tensors.
enum Uid : std::int64_t { left_uid = 1, right_uid, result_uid };

void check(fe::error_t error, const std::string& what) {
  if (error.is_good()) return;
  throw std::runtime_error(fmt::format("cuDNN: {} failed: {}", what, error.get_message()));
}

void require_engine(fe::error_t error, const std::string& what) {
  if (error.is_good()) return;
  throw NoEngine(fmt::format(
      "cuDNN has no way to compute {} that gives the same bits every time and rounds nothing more than asked "
      "for ({}). Set device to cpu",
      what, error.get_message()));
}

std::string describe(const ConvolutionProblem& p, ConvolutionPass pass) {
  const Convolution& c = p.convolution;
  const auto name = [&] {
    switch (pass) {
      case ConvolutionPass::forward:
        return "forward";
      case ConvolutionPass::backward_data:
        return "backward to its input";
      case ConvolutionPass::backward_weight:
        return "backward to its weight";
    }
    return "";
  };
  const auto bits = [](Element element) { return 8 * size_of(element); };
  return fmt::format(
      "a convolution {}x{} of {} to {} (stride {}, padding {}, groups {}, {} samples, {} to {} bits), {},",
      c.kernel_height, c.kernel_width, to_string(c.in), to_string(c.out), c.stride, c.padding, c.groups,
      p.samples, bits(p.element), bits(p.result), name());
}

// cuDNN names dimensions NCHW, whatever their order in memory, which is NHWC here.
std::vector<std::int64_t> dims(std::int64_t count, const SampleShape& image) {
  return {count, image.channels, image.height, image.width};
}
std::vector<std::int64_t> strides(const SampleShape& image) {
  return {image.elements(), 1, image.width * image.channels, image.channels};
}

Attributes described(std::int64_t count, const SampleShape& image, fe::DataType_t type, Uid uid) {
  return Attributes().set_dim(dims(count, image)).set_stride(strides(image)).set_data_type(type).set_uid(uid);
}

fe::DataType_t type_of(Element element) {
  return element == Element::bf16 ? fe::DataType_t::BFLOAT16 : fe::DataType_t::FLOAT;
}

template <class Pass>
Pass window_of(const Convolution& c) {
  return Pass().set_padding({c.padding, c.padding}).set_stride({c.stride, c.stride}).set_dilation({1, 1});
}

// Adds the operation and answers its result.
Tensor add_operation(fe::graph::Graph& graph, const ConvolutionProblem& p, ConvolutionPass pass) {
  const Convolution& c = p.convolution;
  const SampleShape filter{c.kernel_height, c.kernel_width, c.in.channels / c.groups};
  const auto tensor = [&](std::int64_t count, const SampleShape& image, Uid uid) {
    return graph.tensor(described(count, image, type_of(p.element), uid));
  };
  const auto result = [&](const Tensor& made, std::int64_t count, const SampleShape& image) {
    made->set_output(true)
        .set_dim(dims(count, image))
        .set_stride(strides(image))
        .set_data_type(type_of(p.result))
        .set_uid(result_uid);
    return made;
  };
  switch (pass) {
    case ConvolutionPass::forward: {
      const auto x = tensor(p.samples, c.in, left_uid);
      const auto w = tensor(c.out.channels, filter, right_uid);
      const auto made = graph.conv_fprop(x, w, window_of<fe::graph::Conv_fprop_attributes>(c));
      return result(made, p.samples, c.out);
    }
    case ConvolutionPass::backward_data: {
      const auto dy = tensor(p.samples, c.out, left_uid);
      const auto w = tensor(c.out.channels, filter, right_uid);
      const auto made = graph.conv_dgrad(dy, w, window_of<fe::graph::Conv_dgrad_attributes>(c));
      return result(made, p.samples, c.in);
    }
    case ConvolutionPass::backward_weight: {
      const auto dy = tensor(p.samples, c.out, left_uid);
      const auto x = tensor(p.samples, c.in, right_uid);
      const auto made = graph.conv_wgrad(dy, x, window_of<fe::graph::Conv_wgrad_attributes>(c));
      return result(made, c.out.channels, filter);
    }
  }
  throw std::logic_error("a pass of no kind");
}

std::vector<fe::NumericalNote_t> forbidden(const ConvolutionProblem& p) {
  using Note = fe::NumericalNote_t;
  std::vector<Note> notes{
      Note::NONDETERMINISTIC,   Note::REDUCED_PRECISION_REDUCTION, Note::FFT,
      Note::WINOGRAD,           Note::WINOGRAD_TILE_4x4,           Note::WINOGRAD_TILE_6x6,
      Note::WINOGRAD_TILE_13x13};
  if (p.element == Element::f32 && !p.tf32) {
    notes.push_back(Note::TENSOR_CORE);
    notes.push_back(Note::DOWN_CONVERT_INPUTS);
  }
  return notes;
}

}  // namespace

ConvolutionPlan::ConvolutionPlan(cudnnHandle_t handle, const ConvolutionProblem& problem,
                                 ConvolutionPass pass)
    : what_(describe(problem, pass)) {
  graph_.set_compute_data_type(fe::DataType_t::FLOAT).set_intermediate_data_type(fe::DataType_t::FLOAT);
  add_operation(graph_, problem, pass);
  check(graph_.validate(), what_ + " described to it,");
  require_engine(graph_.build_operation_graph(handle), what_);
  require_engine(graph_.create_execution_plans({fe::HeurMode_t::A, fe::HeurMode_t::FALLBACK}), what_);
  graph_.deselect_numeric_notes(forbidden(problem));
  require_engine(graph_.check_support(handle), what_);
  require_engine(graph_.build_plans(handle, fe::BuildPlanPolicy_t::HEURISTICS_CHOICE), what_);
  std::int64_t bytes = 0;
  check(graph_.get_workspace_size(bytes), what_ + " its memory");
  workspace_bytes_ = static_cast<std::size_t>(bytes);
}

void ConvolutionPlan::run(cudnnHandle_t handle, const void* left, const void* right, void* result,
                          std::byte* workspace) const {
  // cuDNN takes what it only reads as if it wrote there.
  std::unordered_map<std::int64_t, void*> tensors{
      {left_uid, const_cast<void*>(left)}, {right_uid, const_cast<void*>(right)}, {result_uid, result}};
  check(graph_.execute(handle, tensors, workspace), what_);
}

}  // namespace lockstep::cuda
