// Logarithm, normal quantile and exact sinusoids from operations that IEEE 754 fixes to the last bit.
#include "base/portable_math.hpp"

#include <array>
#include <cmath>
#include <cstddef>
#include <limits>

namespace attn {

namespace {

/// c[0] + c[1] x + ... by Horner's rule.
template <std::size_t N>
double polynomial(const std::array<double, N>& c, double x) noexcept {
  double sum = c[N - 1];
  for (std::size_t k = N - 1; k-- > 0;) sum = sum * x + c[k];
  return sum;
}

DoubleDouble two_sum(double a, double b) noexcept {
  const double sum = a + b;
  const double part = sum - a;
  return {sum, (a - (sum - part)) + (b - part)};
}

/// The same for |a| >= |b|.
DoubleDouble quick_sum(double a, double b) noexcept {
  const double sum = a + b;
  return {sum, b - (sum - a)};
}

/// The two halves of a, 26 bits each.
DoubleDouble split(double a) noexcept {
  const double factor = 0x1p27 + 1;
  const double scaled = factor * a;
  const double high = scaled - (scaled - a);
  return {high, a - high};
}

DoubleDouble two_product(double a, double b) noexcept {
  const double product = a * b;
  const DoubleDouble x = split(a);
  const DoubleDouble y = split(b);
  return {product, ((x.high * y.high - product) + x.high * y.low + x.low * y.high) + x.low * y.low};
}

DoubleDouble add(DoubleDouble a, DoubleDouble b) noexcept {
  const DoubleDouble high = two_sum(a.high, b.high);
  const DoubleDouble low = two_sum(a.low, b.low);
  const DoubleDouble partial = quick_sum(high.high, high.low + low.high);
  return quick_sum(partial.high, partial.low + low.low);
}

DoubleDouble multiply(DoubleDouble a, DoubleDouble b) noexcept {
  const DoubleDouble product = two_product(a.high, b.high);
  return quick_sum(product.high, product.low + (a.high * b.low + a.low * b.high));
}

DoubleDouble divide(DoubleDouble a, double b) noexcept {
  const double first = a.high / b;
  const DoubleDouble back = two_product(first, b);
  const DoubleDouble rest = add(a, {-back.high, -back.low});
  return quick_sum(first, rest.high / b);
}

/// exp(-t) for 0 <= t < 10.
DoubleDouble exp_of_negative(DoubleDouble t) noexcept {
  constexpr DoubleDouble ln2{0x1.62e42fefa39efp-1, 0x1.abc9e3b39803fp-56};
  constexpr int halvings = 6;  // leaves at most 0.0055, whose Taylor series is short
  constexpr int terms = 14;
  const double octaves = std::floor(t.high / ln2.high + 0.5);
  const DoubleDouble rest = add(multiply(ln2, {octaves, 0}), {-t.high, -t.low});
  const DoubleDouble x{rest.high * 0x1p-6, rest.low * 0x1p-6};
  DoubleDouble sum{1, 0};
  for (int n = terms; n >= 1; --n) sum = add({1, 0}, divide(multiply(x, sum), n));
  for (int k = 0; k < halvings; ++k) sum = multiply(sum, sum);
  const int exponent = -static_cast<int>(octaves);
  return {std::ldexp(sum.high, exponent), std::ldexp(sum.low, exponent)};
}

/// Sine of x + tail for |x| <= pi/4: the Taylor series, whose next term is below 1e-19.
double sine_near_zero(double x, double tail) noexcept {
  constexpr std::array<double, 8> c{-0x1.5555555555555p-3,  0x1.1111111111111p-7,  -0x1.a01a01a01a01ap-13, 0x1.71de3a556c734p-19,
                                    -0x1.ae64567f544e4p-26, 0x1.6124613a86d09p-33, -0x1.ae7f3e733b81fp-41, 0x1.952c77030ad4ap-49};
  const double square = x * x;
  return x + (x * square * polynomial(c, square) + tail * (1 - 0.5 * square));
}

/// Cosine of x + tail for |x| <= pi/4. The rounding error of 1 - x^2/2 is put back.
double cosine_near_zero(double x, double tail) noexcept {
  constexpr std::array<double, 8> c{0x1.5555555555555p-5,  -0x1.6c16c16c16c17p-10, 0x1.a01a01a01a01ap-16, -0x1.27e4fb7789f5cp-22,
                                    0x1.1eed8eff8d898p-29, -0x1.93974a8c07c9dp-37, 0x1.ae7f3e733b81fp-45, -0x1.6827863b97d97p-53};
  const double square = x * x;
  const double half = 0.5 * square;
  const double rounded = 1 - half;
  const double lost = (1 - rounded) - half;
  return rounded + (lost + (square * square * polynomial(c, square) - x * tail));
}

}  // namespace

double portable_log(double x) noexcept {
  constexpr double sqrt_half = 0x1.6a09e667f3bcdp-1;
  constexpr double ln2_high = 0x1.62e42feep-1;  // 21 low bits are zero: exact times any exponent
  constexpr double ln2_low = 0x1.a39ef35793c76p-33;
  // 2 s^(2k+2) / (2k+3), the series of 2 atanh(s) - 2 s over s.
  constexpr std::array<double, 11> c{2.0 / 3,  2.0 / 5,  2.0 / 7,  2.0 / 9,  2.0 / 11, 2.0 / 13,
                                     2.0 / 15, 2.0 / 17, 2.0 / 19, 2.0 / 21, 2.0 / 23};
  int exponent = 0;
  double mantissa = std::frexp(x, &exponent);  // exact
  if (mantissa < sqrt_half) {
    mantissa *= 2;
    --exponent;
  }
  // ln(1 + f) = f - f^2/2 + s (f^2/2 + R(s^2)) with s = f / (2 + f): the large terms carry no rounding error of s.
  const double f = mantissa - 1;
  const double s = f / (2 + f);
  const double half = 0.5 * f * f;
  const double square = s * s;
  const double rest = s * (half + square * polynomial(c, square));
  const auto octaves = static_cast<double>(exponent);
  return octaves * ln2_high - ((half - (rest + octaves * ln2_low)) - f);
}

double normal_quantile(double p) noexcept {
  constexpr std::array<double, 8> a{3.3871328727963666080e0,  1.3314166789178437745e+2, 1.9715909503065514427e+3,
                                    1.3731693765509461125e+4, 4.5921953931549871457e+4, 6.7265770927008700853e+4,
                                    3.3430575583588128105e+4, 2.5090809287301226727e+3};
  constexpr std::array<double, 8> b{1.0,
                                    4.2313330701600911252e+1,
                                    6.8718700749205790830e+2,
                                    5.3941960214247511077e+3,
                                    2.1213794301586595867e+4,
                                    3.9307895800092710610e+4,
                                    2.8729085735721942674e+4,
                                    5.2264952788528545610e+3};
  constexpr std::array<double, 8> c{1.42343711074968357734e0,  4.63033784615654529590e0, 5.76949722146069140550e0,
                                    3.64784832476320460504e0,  1.27045825245236838258e0, 2.41780725177450611770e-1,
                                    2.27238449892691845833e-2, 7.74545014278341407640e-4};
  constexpr std::array<double, 8> d{1.0,
                                    2.05319162663775882187e0,
                                    1.67638483018380384940e0,
                                    6.89767334985100004550e-1,
                                    1.48103976427480074590e-1,
                                    1.51986665636164571966e-2,
                                    5.47593808499534494600e-4,
                                    1.05075007164441684324e-9};
  constexpr std::array<double, 8> e{6.65790464350110377720e0,  5.46378491116411436990e0,  1.78482653991729133580e0,
                                    2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3,
                                    2.71155556874348757815e-5, 2.01033439929228813265e-7};
  constexpr std::array<double, 8> g{1.0,
                                    5.99832206555887937690e-1,
                                    1.36929880922735805310e-1,
                                    1.48753612908506148525e-2,
                                    7.86869131145613259100e-4,
                                    1.84631831751005468180e-5,
                                    1.42151175831644588870e-7,
                                    2.04426310338993978564e-15};
  const double q = p - 0.5;
  if (std::abs(q) <= 0.425) {
    const double r = 0.180625 - q * q;
    return q * polynomial(a, r) / polynomial(b, r);
  }
  double r = std::sqrt(-portable_log(q < 0 ? p : 1 - p));
  double quantile = 0;
  if (r <= 5) {
    r -= 1.6;
    quantile = polynomial(c, r) / polynomial(d, r);
  } else {
    r -= 5;
    quantile = polynomial(e, r) / polynomial(g, r);
  }
  return q < 0 ? -quantile : quantile;
}

DoubleDouble wave_number(std::uint64_t numerator, std::uint64_t denominator) noexcept {
  constexpr DoubleDouble ln10000{0x1.26bb1bbb55516p+3, -0x1.f48ad494ea3e9p-51};
  if (numerator == 0) return {1, 0};
  const DoubleDouble fraction = divide({static_cast<double>(numerator), 0}, static_cast<double>(denominator));
  return exp_of_negative(multiply(fraction, ln10000));
}

std::pair<double, double> sine_cosine(std::uint64_t position, DoubleDouble wave) noexcept {
  constexpr DoubleDouble half_pi{0x1.921fb54442d18p+0, 0x1.1a62633145c07p-54};
  constexpr double half_pi_rest = -0x1.f1976b7ed8fbcp-110;
  constexpr double two_over_pi = 0x1.45f306dc9c883p-1;
  const DoubleDouble angle = multiply({static_cast<double>(position), 0}, wave);
  const double quarters = std::floor(angle.high * two_over_pi + 0.5);
  // Whole quarters are taken away in three exact products: what is left of a large angle is still known to the last bit.
  DoubleDouble turns = two_product(half_pi.high, quarters);
  DoubleDouble rest = add(angle, {-turns.high, -turns.low});
  turns = two_product(half_pi.low, quarters);
  rest = add(rest, {-turns.high, -turns.low});
  rest = add(rest, {-(half_pi_rest * quarters), 0});
  const double sine = sine_near_zero(rest.high, rest.low);
  const double cosine = cosine_near_zero(rest.high, rest.low);
  switch (static_cast<std::uint64_t>(quarters) % 4) {
    case 0:
      return {sine, cosine};
    case 1:
      return {cosine, -sine};
    case 2:
      return {-sine, -cosine};
    default:
      return {-cosine, sine};
  }
}

static_assert(std::numeric_limits<double>::is_iec559);

}  // namespace attn
