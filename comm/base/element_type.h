#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

namespace lockstep {

// A type, where workers compare what they send each other. Integers are told by their size.
enum class ElementType : std::uint8_t { nothing, byte, character, f32, f64, i32, i64, u32, u64, other };

template <class T>
constexpr ElementType element_type() {
  if constexpr (std::is_same_v<T, std::byte>) return ElementType::byte;
  if constexpr (std::is_same_v<T, char>) return ElementType::character;
  if constexpr (std::is_same_v<T, float>) return ElementType::f32;
  if constexpr (std::is_same_v<T, double>) return ElementType::f64;
  if constexpr (std::is_integral_v<T> && std::is_signed_v<T>)
    return sizeof(T) == 8 ? ElementType::i64 : ElementType::i32;
  if constexpr (std::is_integral_v<T> && std::is_unsigned_v<T>)
    return sizeof(T) == 8 ? ElementType::u64 : ElementType::u32;
  return ElementType::other;
}

constexpr std::string_view name_of(ElementType element) {
  switch (element) {
    case ElementType::nothing:
      return "nothing";
    case ElementType::byte:
      return "byte";
    case ElementType::character:
      return "char";
    case ElementType::f32:
      return "float";
    case ElementType::f64:
      return "double";
    case ElementType::i32:
      return "int32";
    case ElementType::i64:
      return "int64";
    case ElementType::u32:
      return "uint32";
    case ElementType::u64:
      return "uint64";
    case ElementType::other:
      break;
  }
  return "other";
}

}  // namespace lockstep
