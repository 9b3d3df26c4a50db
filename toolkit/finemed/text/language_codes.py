"""Language codes that exist, and names of languages with theirs.

::

    known_code("pt-BR"), known_code("zh-Hant"), known_code("xx-nonsense")  ->  True, True, False
    code_of("English")  ->  "en"

Codes are ISO 639-1 and ISO 639-2, with the individual languages of ISO 639-3 that multilingual datasets use. Behind a
code there may be a script, a region and a variant, as in BCP 47.
"""

from __future__ import annotations

import re

_TWO = """
    aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el
    en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu
    ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na
    nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so
    sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu
"""
_THREE = """
    aar abk ace ach acm ada ady aeb afa afh afr ain ajp aka akk alb ale alg als alt amh ang anp apa apc ara arb arc
    arg arm arn arp art arw ary arz asm ast ath aus ava ave awa aym azb aze azj bad bai bak bal bam ban baq bas bat
    bcl bej bel bem ben ber bho bih bik bin bis bla bnt bod bos bra bre btk bua bug bul bur byn cad cai car cat cau
    ceb cel ces cha chb che chg chi chk chm chn cho chp chr chu chv chy ckb cmc cmn cnr cop cor cos cpe cpf cpp cre
    crh crp csb cus cym cze dak dan dar day del den deu dgr din div doi dra dsb dua dum dut dyu dzo efi egy eka ekk
    ell elx eng enm epo est eus ewe ewo fan fao fas fat fij fil fin fiu fon fra fre frm fro frr frs fry ful fur fuv
    gaa gan gay gaz gba gem geo ger gez gil gla gle glg glv gmh goh gom gon gor got grb grc gre grn gsw guj gwi hai
    hak hat hau haw heb her hil him hin hit hmn hmo hne hrv hsb hsn hun hup hye iba ibo ice ido iii ijo iku ile ilo
    ina inc ind ine inh ipk ira iro isl ita jav jbo jpn jpr jrb kaa kab kac kal kam kan kar kas kat kau kaw kaz kbd
    kha khi khk khm kho kik kin kir kmb kmr knc kok kom kon kor kos kpe krc krl kro kru kua kum kur kut lad lah lam
    lao lat lav lez lij lim lin lit lmo lol loz ltz lua lub lug lui lun luo lus lvs mac mad mag mah mai mak mal man
    mao map mar mas may mdf mdr men mga mic min mis mkd mkh mlg mlt mnc mni mno moh mon mos mri msa mul mun mus mwl
    mwr mya myn myv nah nai nan nap nau nav nbl nde ndo nds nep new nia nic niu nld nno nob nog non nor npi nqo nso
    nub nwc nya nym nyn nyo nzi oci oji ori orm ory osa oss ota oto paa pag pal pam pan pap pau pbt peo per pes phi
    phn pli plt pol pon por pra pro prs pus que quy raj rap rar roa roh rom ron rum run rup rus sad sag sah sai sal
    sam san sas sat scn sco sel sem sga sgn shn sid sin sio sit sla slk slo slv sma sme smi smj smn smo sms sna snd
    snk sog som son sot spa sqi srd srn srp srr ssa ssw suk sun sus sux swa swe swh syc syr szl tah tai tam tat tel
    tem ter tet tgk tgl tha tib tig tir tiv tkl tlh tli tmh tog ton tpi tsi tsn tso tuk tum tup tur tut tvl twi tyv
    udm uga uig ukr umb und urd uzb uzn vai vec ven vie vol vot wak wal war was wel wen wln wol wuu xal xho yao yap
    ydd yid yor ypk yue zap zbl zen zgh zha zho znd zsm zul zun zxx zza
"""
_NAMES = (
    "aa=afar;ab=abkhazian;ae=avestan;af=afrikaans;ak=akan;am=amharic;an=aragonese;ar=arabic,العربية;as=assamese"
    ";av=avaric;ay=aymara;az=azerbaijani;ba=bashkir;be=belarusian;bg=bulgarian;bh=bihari languages;bi=bislama;b"
    "m=bambara;bn=bengali,bangla;bo=tibetan;br=breton;bs=bosnian;ca=catalan,valencian;ce=chechen;ch=chamorro;co"
    "=corsican;cr=cree;cs=cz,czech;cu=church slavic,old slavonic,church slavonic,old bulgarian,old church slavonic"
    ";cv=chuvash;cy=welsh;da=dk,danish;de=german,deutsch;dv=divehi,dhivehi,maldivian;dz=dzongkha;ee=ewe;el=gr,greek;e"
    "n=english,英文,英语;eo=esperanto;es=spanish,castilian,español;et=estonian;eu=basque;fa=persian,farsi;ff=fulah;"
    "fi=finnish;fj=fijian;fo=faroese;fr=french,français;fy=western frisian;ga=irish;gd=gaelic,scottish "
    "gaelic;gl=galician;gn=guarani;gu=gujarati;gv=manx;ha=hausa;he=hebrew;hi=hindi,हिन्दी;ho=hiri "
    "motu;hr=croatian;ht=haitian,haitian creole;hu=hungarian;hy=armenian;hz=herero;id=indonesian,bahasa "
    "indonesia;ie=interlingue,occidental;ig=igbo;ii=sichuan yi,nuosu;ik=inupiaq;io=ido;is=icelandic;it=italian,"
    "italiano;iu=inuktitut;ja=jp,japanese,日本語;jv=javanese;ka=georgian;kg=kongo;ki=kikuyu,gikuyu;kj=kuanyama,kwanya"
    "ma;kk=kazakh;kl=kalaallisut,greenlandic;km=central khmer;kn=kannada;ko=korean,한국어;kr=kanuri;ks=kashmiri;ku"
    "=kurdish;kv=komi;kw=cornish;ky=kirghiz,kyrgyz;la=latin;lb=luxembourgish,letzeburgesch;lg=ganda;li=limburga"
    "n,limburger,limburgish;ln=lingala;lo=lao;lt=lithuanian;lu=luba-katanga;lv=latvian;mg=malagasy;mh=marshalle"
    "se;mi=maori;mk=macedonian;ml=malayalam;mn=mongolian;mr=marathi;ms=malay;mt=maltese;my=burmese;na=nauru;nd="
    "north ndebele;ne=nepali;ng=ndonga;nl=dutch,flemish,nederlands;nn=norwegian nynorsk;no=norwegian;nr=south n"
    "debele;nv=navajo,navaho;ny=chichewa,chewa,nyanja;oj=ojibwa;om=oromo;or=oriya;os=ossetian,ossetic;pa=panjab"
    "i,punjabi;pi=pali;pl=polish,polski;ps=pushto,pashto;pt=portuguese,brazilian portuguese,português;qu=quechu"
    "a;rm=romansh;rn=rundi;ro=romanian,moldavian,moldovan;ru=russian,русский;rw=kinyarwanda;sa=sanskrit;sc=sard"
    "inian;sd=sindhi;se=northern sami;sg=sango;si=sinhala,sinhalese;sk=slovak;sl=slovenian;sm=samoan;sn=shona;s"
    "o=somali;sq=albanian;sr=serbian;ss=swati;su=sundanese;sv=swedish;sw=swahili;ta=tamil;te=telugu;tg=tajik;th"
    "=thai;ti=tigrinya;tk=turkmen;tl=tagalog;tn=tswana;tr=turkish,türkçe;ts=tsonga;tt=tatar;tw=twi;ty=tahitian;"
    "ug=uighur,uyghur;uk=ukrainian;ur=urdu;uz=uzbek;ve=venda;vi=vn,vietnamese,tiếng "
    "việt;wa=walloon;wo=wolof;xh=xhosa;yi=yiddish;yo=yoruba;za=zhuang,chuang;zh=cn,chinese,mandarin,simplified "
    "chinese,traditional chinese,中文,汉语;zu=zulu"
)
"""A code and the names that stand for it."""
_KNOWN = frozenset((*_TWO.split(), *_THREE.split()))
_CODE_OF = {name: entry.split("=")[0] for entry in _NAMES.split(";") for name in entry.split("=")[1].split(",")}
_BEHIND = re.compile(
    r"(?:[-_][A-Za-z]{4})?(?:[-_](?:[A-Za-z]{2}|[0-9]{3}))?"
    r"(?:[-_](?:[0-9][A-Za-z0-9]{3}|valencia|pinyin|wadegile|oxendict|scouse|abl1943|ao1990|tarask|arevela|arevmda))*"
    r"(?:[-_][xX][-_][A-Za-z0-9-]+)?(?:\.[A-Za-z0-9-]+)?\Z"
)
"""Script, region, variants and private part, and the encoding of a locale such as ``en_US.UTF-8``."""


def known_code(stated: str) -> bool:
    """Whether a stated language begins with a code that exists and goes on as such codes do."""
    code = re.match("[A-Za-z]+", stated.strip())
    return code is not None and code.group().lower() in _KNOWN and _BEHIND.match(stated.strip(), code.end()) is not None


def code_of(name: str) -> str | None:
    """The ISO 639-1 code of a language's name in English, or of a common one in its own, or for a country's code."""
    return _CODE_OF.get(" ".join(name.lower().replace("_", " ").split()))
