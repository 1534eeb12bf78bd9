# Links of the Markdown pages: to headers, as Doxygen knows them; to files that are no pages of the reference, as plain text.
s#\]\((\.\./)?include/gqe/([a-z_]+\.h)\)#](@ref \2)#g
s#\[([^]]*)\]\((\.\./)?(bench|examples|models|tools)/[^)]*\)#\1#g
s#\]\(images/#](#g
s#src="images/#src="#g
