/*
 * exp and GELU to a few units in the last place on every driver. GLSL's own exp may be off by 3 + 2|x| units, and CPU drivers use
 * that freedom.
 */
#ifndef GQE_COMMON_MATH_GLSL
#define GQE_COMMON_MATH_GLSL

/* exp(x) for x <= 0, relative error below 2e-7; below -87, where f32 would be denormal, 0. */
float exp_nonpositive(float x)
{
	if (x < -87.0)
		return 0.0;
	/* x = n ln 2 + r with |r| <= ln 2 / 2; 355/512 is ln 2 in so few bits that its product with n is exact. */
	float n = floor(x * 1.44269504 + 0.5);
	precise float r = x - n * (355.0 / 512.0);
	r = r + n * 2.12194440e-4;
	/* Taylor series; the first term left out is below 6e-9. */
	float p = 1.0 / 5040.0;
	p = p * r + 1.0 / 720.0;
	p = p * r + 1.0 / 120.0;
	p = p * r + 1.0 / 24.0;
	p = p * r + 1.0 / 6.0;
	p = p * r + 0.5;
	p = p * r + 1.0;
	p = p * r + 1.0;
	return p * uintBitsToFloat(uint(int(n) + 127) << 23);
}

/* x * sigmoid(x); exp's argument is never positive, so nothing overflows. */
float silu(float x)
{
	float e = exp_nonpositive(-abs(x));
	return x * (x >= 0.0 ? 1.0 : e) / (1.0 + e);
}

/* 1 - erf(z) for z >= 0, absolute error below 1e-7. */
float erfc_nonnegative(float z)
{
	/* exp(z^2) erfc(z) as a polynomial in 1 / (1 + z/2), interpolated in Chebyshev nodes over z in 0...10. */
	float t = 1.0 / (1.0 + 0.5 * z);
	float p = -4.73616213e-02;
	p = p * t + 2.24487388e-01;
	p = p * t - 3.54680929e-01;
	p = p * t + 1.13771516e-01;
	p = p * t + 9.91311251e-02;
	p = p * t + 1.41273660e-01;
	p = p * t + 2.62173576e-01;
	p = p * t + 2.78755318e-01;
	p = p * t + 2.82466797e-01;
	p = p * t - 1.68409773e-05;
	return p * exp_nonpositive(-z * z);
}

/* x * Phi(x) with the exact erf. */
float gelu(float x)
{
	float tail = 0.5 * erfc_nonnegative(abs(x) * 0.70710678);
	return x * (x >= 0.0 ? 1.0 - tail : tail);
}

#endif
