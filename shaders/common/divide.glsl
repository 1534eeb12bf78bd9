/* Division by a number that the host knows: a division of lanes is done lane by lane on a CPU driver, and is slow on every GPU. */
#ifndef GQE_COMMON_DIVIDE_GLSL
#define GQE_COMMON_DIVIDE_GLSL

/* (n / divisor, n % divisor) for n below 2^31; `inverse` is GQE_INVERSE(divisor), which makes the first quotient at most 1 too small. */
uvec2 divide(uint n, uint divisor, uint inverse)
{
	uint quotient, low;
	umulExtended(n, inverse, quotient, low);
	uint rest = n - quotient * divisor;
	return rest >= divisor ? uvec2(quotient + 1, rest - divisor) : uvec2(quotient, rest);
}

#endif
