#version 450
/* The application's own work beside gqe: fills a buffer with waves that travel. */
layout(local_size_x = 64) in;
layout(std430, binding = 0) writeonly buffer Values { float values[]; };
layout(push_constant) uniform Push { uint count; uint width; float time; };

void main()
{
	uint i = gl_GlobalInvocationID.x;
	if (i < count)
		values[i] = sin(0.37 * float(i % width) + 0.11 * float(i / width) + time);
}
