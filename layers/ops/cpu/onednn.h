#pragma once

#include <dnnl_version.h>
#include <dnnl.hpp>
#include <mutex>
#include <utility>

#include "layers/tensor/element.h"

// All that differs between oneDNN 2.6 and 3.x, and the settings that every primitive shares.
namespace lockstep::onednn {

using Memory = dnnl::memory;
using Desc = dnnl::memory::desc;
using Dims = dnnl::memory::dims;

inline const dnnl::engine& engine() {
  static const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  return cpu;
}

inline Memory::data_type type_of(Element element) {
  return element == Element::bf16 ? Memory::data_type::bf16 : Memory::data_type::f32;
}

inline std::mutex& making() {
  static std::mutex mutex;
  return mutex;
}

// Makes a primitive, or what describes one, while no other thread does; nothing else may make them. Where two
// threads make some for bf16 at once, oneDNN 2.6 now and then generates code that computes something else:
// seen in about a third of short trainings with two thread workers, on a processor with AMX, and in some
// where AMX was hidden.
template <class Made, class... Arguments>
Made make_alone(Arguments&&... arguments) {
  const std::lock_guard alone(making());
  return Made(std::forward<Arguments>(arguments)...);
}

// The caller owns the scratchpad: a primitive may then be run by several threads at once (rule 2).
inline dnnl::primitive_attr user_scratchpad() {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

#if DNNL_VERSION_MAJOR >= 3

inline void append_relu(dnnl::post_ops& operations, float slope) {
  operations.append_eltwise(dnnl::algorithm::eltwise_relu, slope, 0);
}

template <class Primitive, class... Arguments>
typename Primitive::primitive_desc describe_forward(const dnnl::primitive_attr& attributes,
                                                    Arguments&&... arguments) {
  return make_alone<typename Primitive::primitive_desc>(engine(), std::forward<Arguments>(arguments)...,
                                                        attributes);
}

template <class Primitive, class Forward, class... Arguments>
typename Primitive::primitive_desc describe_backward(const Forward& forward, Arguments&&... arguments) {
  return make_alone<typename Primitive::primitive_desc>(engine(), std::forward<Arguments>(arguments)...,
                                                        forward, user_scratchpad());
}

#else

inline void append_relu(dnnl::post_ops& operations, float slope) {
  operations.append_eltwise(1, dnnl::algorithm::eltwise_relu, slope, 0);
}

template <class Primitive, class... Arguments>
typename Primitive::primitive_desc describe_forward(const dnnl::primitive_attr& attributes,
                                                    Arguments&&... arguments) {
  return make_alone<typename Primitive::primitive_desc>(
      typename Primitive::desc(std::forward<Arguments>(arguments)...), attributes, engine());
}

template <class Primitive, class Forward, class... Arguments>
typename Primitive::primitive_desc describe_backward(const Forward& forward, Arguments&&... arguments) {
  return make_alone<typename Primitive::primitive_desc>(
      typename Primitive::desc(std::forward<Arguments>(arguments)...), user_scratchpad(), engine(), forward);
}

#endif

inline dnnl::reorder::primitive_desc describe_reorder(const Desc& from, const Desc& to) {
  return make_alone<dnnl::reorder::primitive_desc>(engine(), from, engine(), to, user_scratchpad());
}

}  // namespace lockstep::onednn
